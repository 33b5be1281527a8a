"""Broken estimators."""

from __future__ import annotations

import itertools
import math

import torch

from relaxit import Estimator, Unsupported
from relaxit.estimators.base import StatefulEstimator
from relaxit.estimators.pathwise import Pathwise
from tests.testing.broken.sound import Drawn, Through, replace_gradient


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


class _Factor(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(value, factor):
        return value.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.factor = inputs[1]

    @staticmethod
    def backward(ctx, grad):
        return ctx.factor * grad, None


class WrongSign(Through):
    """Ascends where it should descend (torch-imle#4)."""

    caught_by = "unbiased_as_claimed"

    def sample(self, q, sample_shape=(), generator=None):
        return _Factor.apply(super().sample(q, sample_shape, generator), -1.0)


class ForgottenFactor(Through):
    """A gradient that is not divided by its step (torch-imle#3)."""

    caught_by = "unbiased_as_claimed"

    def sample(self, q, sample_shape=(), generator=None):
        return _Factor.apply(super().sample(q, sample_shape, generator), 1.1)


class ClaimsQuadratic(Through):
    """Straight-through, with the claim of ReinMax."""

    caught_by = "unbiased_as_claimed"
    unbiased = "quadratic"


class Score(Estimator):
    """Two samples, each the other's baseline: sound."""

    api = 1
    name = "score"
    hard = True
    exact_draw = True
    unbiased = "any"

    def check(self, relaxation):
        self._needs_discrete_distribution(relaxation, instead="pathwise")

    def surrogate(self, q, cost, generator=None):
        z = q.sample_hard((2,), generator)
        f = torch.stack([cost(z[0]), cost(z[1])])
        log = q.discrete.log_prob(z)
        log = log.flatten(f.dim()).sum(-1) if log.dim() > f.dim() else log
        return self.combine(f, log)

    def evaluations(self, relaxation, variables=1):
        return 2

    def combine(self, f, log):
        score = (f[0] - f[1]).detach() * (log[0] - log[1]) / 2
        return f.mean(0) + score - score.detach()


class OwnBaseline(Score):
    """The baseline holds the sample's own cost, without the factor that would mend it."""

    caught_by = "unbiased_as_claimed"

    def combine(self, f, log):
        score = ((f - f.mean(0)).detach() * log).mean(0)
        return f.mean(0) + score - score.detach()


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


class AnotherDraw(Through):
    """Claims an exact draw and draws from a sharper law."""

    caught_by = "values_follow_the_discrete_distribution"
    unbiased = ""

    def sample(self, q, sample_shape=(), generator=None):
        sharper = q.relaxation.discrete(1.1 * q.params.detach())
        value = sharper.sample(torch.Size(sample_shape), generator=generator)
        return replace_gradient(value, q.discrete.mean.expand(value.shape))


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


class BatchMeanBaseline(Score):
    """The baseline is the mean cost of the batch, the sample's own included."""

    caught_by = "unbiased_in_small_batches"

    def evaluations(self, relaxation, variables=1):
        return 1

    def surrogate(self, q, cost, generator=None):
        z = q.sample_hard((), generator)
        f, log = cost(z), q.discrete.log_prob(z)
        log = log.flatten(f.dim()).sum(-1) if log.dim() > f.dim() else log
        score = (f - f.mean()).detach() * log
        return f + score - score.detach()


class FirstLatentOnly(Score):
    """Of several variables under one cost only the first is trained."""

    caught_by = "unbiased_in_small_batches"

    def surrogate(self, q, cost, generator=None):
        z = q.sample_hard((2,), generator)
        f = torch.stack([cost(z[0]), cost(z[1])])
        log = q.discrete.log_prob(z)
        log = log.flatten(f.dim())[..., 0] if log.dim() > f.dim() else log
        return self.combine(f, log)


class WrongSignUnclaimed(WrongSign):
    """The wrong sign, and no claim that could be broken."""

    caught_by = "points_the_right_way"
    unbiased = ""


class ZeroInEvaluation(Through):
    """Another loss where no gradient is asked for."""

    caught_by = "gradient_mode_keeps_the_cost"

    def surrogate(self, q, cost, generator=None):
        value = super().surrogate(q, cost, generator)
        return value if torch.is_grad_enabled() else 0 * value


class AlwaysAtOne(Pathwise):
    """Samples at temperature 1, whatever the schedule says."""

    name, caught_by = "always-at-one", "soft_values_follow_the_relaxed_distribution"
    api = 1

    def sample(self, q, sample_shape=(), generator=None):
        return q.relaxation(q.params, 1.0).rsample(sample_shape, generator)


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
        return cost(self.sample(q, (2,), generator)[1])


class SilentNeed(Through):
    """Needs a discrete law and does not say so."""

    caught_by = "missing_capability_is_unsupported"

    def check(self, relaxation):
        pass


class TakesLogitsForGranted(Through):
    """The softmax of the params in place of the marginals."""

    caught_by = "missing_capability_is_unsupported"

    def sample(self, q, sample_shape=(), generator=None):
        value = q.sample_hard(sample_shape, generator)
        return replace_gradient(value, q.params.softmax(-1).expand(value.shape))


class CountsOnce(Score):
    """Says that two evaluations are one."""

    caught_by = "evaluations_are_those_claimed"

    def evaluations(self, relaxation, variables=1):
        return 1


class SharperDraws(Through):
    """Draws from a law of its own, and does not say so."""

    caught_by = "values_follow_the_draws"
    exact_draw, unbiased = False, ""

    def sample(self, q, sample_shape=(), generator=None):
        sharper = q.relaxation(1.2 * q.params.detach())
        value = sharper.draw(torch.Size(sample_shape), generator)[1]
        return replace_gradient(value, q.discrete.mean.expand(value.shape))


class Enumerates(Estimator):
    """Goes through all joint values: sound, and draws nothing."""

    api = 1
    name = "enumerates"
    hard = True
    exact_draw = True
    unbiased = "any"

    def check(self, relaxation):
        self._needs_discrete_distribution(relaxation, instead="pathwise")

    def evaluations(self, relaxation, variables=1):
        return len(relaxation.enumerate_vertices()) ** variables

    def surrogate(self, q, cost, generator=None):
        values = q.relaxation.enumerate_vertices().to(q.params.dtype)
        first = cost(values[0].expand(*q.batch_shape, *q.event_shape))
        lead, total = first.dim(), 0.0
        rest = q.batch_shape[lead:]
        for which in itertools.product(range(len(values)), repeat=math.prod(rest)):
            one = values[list(which)].reshape((*rest, *values.shape[1:]))
            z = one.expand(*q.batch_shape, *q.event_shape)
            log = q.discrete.log_prob(z)
            mass = (log.flatten(lead).sum(-1) if log.dim() > lead else log).exp()
            total = total + mass * (cost(z) if any(which) else first)
        return total


class FixedSeed(Score):
    """The same draws at every step."""

    caught_by = "all_values_are_weighed"

    def surrogate(self, q, cost, generator=None):
        return super().surrogate(q, cost, torch.Generator(q.params.device).manual_seed(0))


class ViewsTheDraw(Drawn):
    """Takes for granted that the draw is contiguous."""

    caught_by = "given_keeps_the_value"

    def given(self, q, hard, generator=None):
        return super().given(q, hard.view(hard.numel()).view(hard.shape), generator)


class SamplesAtAnotherTemperature(Drawn):
    """What is trained is not what `given` says."""

    caught_by = "sample_is_that_of_given"

    def sample(self, q, sample_shape=(), generator=None):
        return super().sample(q.relaxation(q.params, 0.5), sample_shape, generator)


class SlightlyOff(Drawn):
    """One part in ten thousand too long: no number of draws would show it."""

    caught_by = "unbiased_as_claimed"

    def given(self, q, hard, generator=None):
        return _Factor.apply(super().given(q, hard, generator), 1.0001)


class Average(torch.nn.Module):
    """A moving average, and an offset that is learned."""

    def __init__(self, persistent=True):
        super().__init__()
        self.register_buffer("average", torch.zeros(()), persistent=persistent)
        self.offset = torch.nn.Parameter(torch.zeros(()))

    def update(self, f):
        self.average.mul_(0.8).add_(0.2 * f.mean())


class Averaged(StatefulEstimator):
    """The score function with a baseline that is brought up to date: sound."""

    api = 1
    name = "averaged"
    hard = True
    exact_draw = True
    unbiased = "any"

    def check(self, relaxation):
        self._needs_discrete_distribution(relaxation, instead="pathwise")

    def build_state(self, relaxation, variables):
        return Average()

    def surrogate(self, q, cost, generator=None, state=None):
        z = q.sample_hard((), generator)
        f, log = cost(z), q.discrete.log_prob(z)
        log = log.flatten(f.dim()).sum(-1) if log.dim() > f.dim() else log
        fixed = f.detach()
        if state is None:
            return f + fixed * (log - log.detach())
        left = fixed - self.baseline(state, fixed)
        learning = (left - state.offset).square()
        score = (left - state.offset).detach() * log
        return f + score - score.detach() + learning - learning.detach()

    def baseline(self, state, f):
        before = state.average.clone()
        if state.training and torch.is_grad_enabled():
            state.update(f)
        return before


class NeverUpdated(Averaged):
    """Keeps an average that stays 0."""

    caught_by = "state_is_trained"

    def baseline(self, state, f):
        return state.average.clone()


class LearnsInEvaluation(Averaged):
    """Brings its average up to date in a validation pass, too."""

    caught_by = "state_rests_in_evaluation"

    def baseline(self, state, f):
        before = state.average.clone()
        state.update(f)
        return before


class Unsaved(Averaged):
    """An average that no checkpoint holds."""

    caught_by = "state_is_restored"

    def build_state(self, relaxation, variables):
        return Average(persistent=False)


class LooksAtItsState(Averaged):
    """Branches on a number that it keeps."""

    caught_by = "vmap_of_states"

    def baseline(self, state, f):
        before = super().baseline(state, f)
        return before if float(before) else torch.zeros_like(before)


class KnowsItsOwnCost(Averaged):
    """Takes the cost into the average before it is subtracted."""

    caught_by = "estimates_with_state_are_unbiased"

    def baseline(self, state, f):
        super().baseline(state, f)
        return state.average.clone()


SOUND = [Through(), Score(), Drawn(), Enumerates(), Averaged()]
BROKEN = [
    SumAndDifference(),
    SoftForHard(),
    WrongSign(),
    ForgottenFactor(),
    ClaimsQuadratic(),
    OwnBaseline(),
    ScoreInTheValue(),
    MeanOfTheBatch(),
    NoGradient(),
    AnotherDraw(),
    SharedDraw(),
    DetachedCost(),
    BatchMeanBaseline(),
    FirstLatentOnly(),
    WrongSignUnclaimed(),
    ZeroInEvaluation(),
    AlwaysAtOne(),
    DeafScore(),
    UnguardedScore(),
    NoVmapThrough(),
    CentresParams(),
    SampleApart(),
    SilentNeed(),
    TakesLogitsForGranted(),
    CountsOnce(),
    SharperDraws(),
    FixedSeed(),
    ViewsTheDraw(),
    SamplesAtAnotherTemperature(),
    SlightlyOff(),
    NeverUpdated(),
    LearnsInEvaluation(),
    Unsaved(),
    LooksAtItsState(),
    KnowsItsOwnCost(),
]
