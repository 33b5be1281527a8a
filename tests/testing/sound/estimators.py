"""Sound estimators, for the broken ones to inherit from."""

from __future__ import annotations

import itertools
import math

import torch

from relaxit import DrawEstimator, Estimator, SampleEstimator, Unsupported
from relaxit.autograd import replace_gradient
from relaxit.estimators import OMITTED, StatefulEstimator, checked_cost, given_actions


def needs_discrete_distribution(estimator, relaxation):
    """Reject a relaxation without a discrete distribution."""
    if not relaxation.capabilities.discrete_distribution:
        raise Unsupported(f"{estimator.name} needs a discrete distribution: {relaxation.name}")


class Through(SampleEstimator):
    """An exact draw with the gradient of the marginals: straight-through at temperature 1."""

    api = 1
    name = "sound"
    hard = True
    exact_draw = True
    unbiased = "linear"

    def check(self, relaxation):
        needs_discrete_distribution(self, relaxation)

    def sample(self, q, sample_shape=(), generator=None):
        value = q.sample_hard(sample_shape, generator)
        return replace_gradient(value, q.discrete.mean.expand(value.shape))


class Drawn(DrawEstimator):
    """The same for a draw that is given, at the distribution's temperature."""

    api = 1
    name = "drawn"
    unbiased = "linear"

    def given(self, q, hard, generator=None):
        return replace_gradient(hard, self.marginals(q).expand(hard.shape))

    def marginals(self, q):
        return q.relaxation.discrete(q.params / q.aligned_temperature).mean.to(q.params.dtype)


def summed(log, f):
    """Log-masses, summed over the variables of each cost."""
    return log.flatten(f.dim()).sum(-1) if log.dim() > f.dim() else log


class Score(Estimator):
    """Two samples, each the other's baseline."""

    api = 1
    name = "score"
    hard = True
    exact_draw = True
    unbiased = "any"

    def check(self, relaxation):
        needs_discrete_distribution(self, relaxation)

    def surrogate(self, q, cost, generator=None):
        cost = checked_cost(self.name, q, cost)
        z = q.sample_hard((2,), generator)
        f = torch.stack([cost(z[0]), cost(z[1])])
        return self.combine(f, summed(q.discrete.log_prob(z), f))

    def evaluations(self, relaxation, variables=1):
        return 2

    def combine(self, f, log):
        score = (f[0] - f[1]).detach() * (log[0] - log[1]) / 2
        return f.mean(0) + score - score.detach()


class Rewarded(Score):
    """The same, also for two samples drawn earlier."""

    name = "rewarded"

    def loss(self, q, action, reward, state=OMITTED):
        z, f, _ = given_actions(self.name, q, action, reward)
        return self.combine(f, summed(q.discrete.log_prob(z), f))


class Enumerates(Estimator):
    """Enumerates all joint values, and draws nothing."""

    api = 1
    name = "enumerates"
    hard = True
    exact_draw = True
    unbiased = "any"

    def check(self, relaxation):
        needs_discrete_distribution(self, relaxation)

    def evaluations(self, relaxation, variables=1):
        return len(relaxation.enumerate_vertices()) ** variables

    def surrogate(self, q, cost, generator=None):
        cost = checked_cost(self.name, q, cost)
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


class ExactForOne(Enumerates):
    """Enumerates the values of one variable, and draws those of several under one cost."""

    name = "exact-for-one"

    def evaluations(self, relaxation, variables=1):
        # The first value tells whether a cost has one variable or several.
        return super().evaluations(relaxation) if variables == 1 else 3

    def surrogate(self, q, cost, generator=None):
        cost = checked_cost(self.name, q, cost)
        values = q.relaxation.enumerate_vertices().to(q.params.dtype)
        every = values.reshape(-1, *(1,) * len(q.batch_shape), *q.event_shape)
        first = cost(every[0].expand(*q.batch_shape, *q.event_shape))
        if first.dim() < len(q.batch_shape):
            return self.of_several(q, cost, generator)
        listed = [z.expand(*q.batch_shape, *q.event_shape) for z in every[1:]]
        f = torch.stack([first, *(cost(z) for z in listed)])
        return (
            q.discrete.log_prob(every.expand(-1, *q.batch_shape, *q.event_shape)).exp() * f
        ).sum(0)

    def of_several(self, q, cost, generator):
        z = q.sample_hard((2,), generator)
        f = torch.stack([cost(z[0]), cost(z[1])])
        log = summed(q.discrete.log_prob(z), f)
        score = (f[0] - f[1]).detach() * (log[0] - log[1]) / 2
        return f.mean(0) + score - score.detach()


class Average(torch.nn.Module):
    """A moving average, and an offset that is learned."""

    def __init__(self, persistent=True):
        super().__init__()
        self.register_buffer("average", torch.zeros(()), persistent=persistent)
        self.offset = torch.nn.Parameter(torch.zeros(()))

    def update(self, f):
        self.average.mul_(0.8).add_(0.2 * f.mean())


class Averaged(StatefulEstimator):
    """The score function with a moving average as its baseline."""

    api = 1
    name = "averaged"
    hard = True
    exact_draw = True
    unbiased = "any"

    def check(self, relaxation):
        needs_discrete_distribution(self, relaxation)

    def build_state(self, relaxation, variables):
        return Average()

    def surrogate(self, q, cost, generator=None, state=OMITTED):
        state = self.given_state(state)
        z = q.sample_hard((), generator)
        f = checked_cost(self.name, q, cost)(z)
        log = summed(q.discrete.log_prob(z), f)
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


SOUND = [Through(), Score(), Rewarded(), Drawn(), Enumerates(), ExactForOne(), Averaged()]
