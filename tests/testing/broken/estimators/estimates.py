"""Estimators with broken values, costs or gradients."""

from __future__ import annotations

import torch

from relaxit import Unsupported
from relaxit.autograd import replace_gradient
from relaxit.estimators import checked_cost
from tests.testing.sound.estimators import Score, Through


class SumAndDifference(Through):
    """``hard + soft - soft.detach()``: a rounding error off the vertex."""

    caught_by = "cost_sees_the_claimed_values"

    def sample(self, q, sample_shape=(), generator=None):
        hard = q.sample_hard(sample_shape, generator)
        soft = q.discrete.mean.expand(hard.shape)
        return hard + soft - soft.detach()


class SoftForHard(Through):
    """Claims hard values and gives soft ones to the cost."""

    caught_by = "cost_sees_the_claimed_values"
    exact_draw, unbiased = False, ""

    def sample(self, q, sample_shape=(), generator=None):
        return q.rsample(sample_shape, generator)


class ScoreInTheValue(Score):
    """The score term stays in the value that is reported as the loss."""

    caught_by = "surrogate_is_the_cost"

    def combine(self, f, log):
        return f.mean(0) + (f[0] - f[1]).detach() * (log[0] - log[1]) / 2


class MeanOfTheBatch(Through):
    """Returns one number for the batch."""

    caught_by = "cost_shape_is_kept"

    def surrogate(self, q, cost, generator=None):
        return super().surrogate(q, cost, generator).mean()


class NoGradient(Through):
    """A detach too many."""

    caught_by = "gradient_reaches_params"

    def sample(self, q, sample_shape=(), generator=None):
        return super().sample(q, sample_shape, generator).detach()


class SharedDraw(Through):
    """One draw for every second row."""

    caught_by = "rows_have_noise_of_their_own"

    def sample(self, q, sample_shape=(), generator=None):
        value = q.sample_hard(sample_shape, generator)
        if len(q.batch_shape) == 2:
            value = value[..., :1, :].expand(value.shape)
        return replace_gradient(value, q.discrete.mean.expand(value.shape))


class DetachedCost(Score):
    """The decoder gets no gradient."""

    caught_by = "cost_keeps_its_gradient"

    def combine(self, f, log):
        return super().combine(f.detach(), log)


class ZeroInEvaluation(Through):
    """Another loss where no gradient is asked for."""

    caught_by = "gradient_mode_keeps_the_cost"

    def surrogate(self, q, cost, generator=None):
        value = super().surrogate(q, cost, generator)
        return value if torch.is_grad_enabled() else 0 * value


class DeafScore(Score):
    """Ignores the generator."""

    caught_by = "estimates_repeat_on_a_seed"

    def surrogate(self, q, cost, generator=None):
        return super().surrogate(q, cost)


class UnguardedScore(Score):
    """The logarithm of a probability that may be 0."""

    caught_by = "estimates_are_finite"

    def check(self, relaxation):
        super().check(relaxation)
        if relaxation.param_shape != relaxation.event_shape:
            raise Unsupported(f"{self.name} needs one logit a choice, not {relaxation.name}")

    def surrogate(self, q, cost, generator=None):
        cost = checked_cost(self.name, q, cost)
        z = q.sample_hard((2,), generator)
        f = torch.stack([cost(z[0]), cost(z[1])])
        log = (z * q.params.softmax(-1).log()).sum(-1)
        log = log.flatten(f.dim()).sum(-1) if log.dim() > f.dim() else log
        return self.combine(f, log)


class _OldThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hard, soft):
        return hard.clone()

    @staticmethod
    def backward(ctx, grad):
        return None, grad


class NoVmapThrough(Through):
    """An autograd function without ``setup_context``, as ReinMax has."""

    caught_by = "vmap_of_estimates"

    def sample(self, q, sample_shape=(), generator=None):
        value = q.sample_hard(sample_shape, generator)
        return _OldThrough.apply(value, q.discrete.mean.expand(value.shape))


class CentresParams(Through):
    """Centres the caller's params in place."""

    caught_by = "inputs_of_estimates_are_not_mutated"

    def sample(self, q, sample_shape=(), generator=None):
        if q.params.is_contiguous():
            with torch.no_grad():
                q.params.sub_(q.params.amax(-1, keepdim=True))
        return super().sample(q, sample_shape, generator)


class SampleApart(Through):
    """The layer samples one thing and the trainer another."""

    caught_by = "sample_is_that_of_the_surrogate"

    def surrogate(self, q, cost, generator=None):
        cost = checked_cost(self.name, q, cost, differentiated=True)
        return cost(self.sample(q, (2,), generator)[1])


class SilentNeed(Through):
    """Needs a discrete distribution and does not say so."""

    caught_by = "missing_capability_is_unsupported"

    def check(self, relaxation):
        pass


class TakesLogitsForGranted(Through):
    """The softmax of the params in place of the marginals."""

    caught_by = "missing_capability_is_unsupported"

    def sample(self, q, sample_shape=(), generator=None):
        value = q.sample_hard(sample_shape, generator)
        return replace_gradient(value, q.params.softmax(-1).expand(value.shape))


BROKEN = [
    SumAndDifference(),
    SoftForHard(),
    ScoreInTheValue(),
    MeanOfTheBatch(),
    NoGradient(),
    SharedDraw(),
    DetachedCost(),
    ZeroInEvaluation(),
    DeafScore(),
    UnguardedScore(),
    NoVmapThrough(),
    CentresParams(),
    SampleApart(),
    SilentNeed(),
    TakesLogitsForGranted(),
]
