"""Estimators and a problem of which everything is known."""

from __future__ import annotations

import torch
from torch import nn

import relaxit
from relaxit.autograd import replace_gradient
from relaxit.estimators.base import DrawEstimator, Estimator, StatefulEstimator
from relaxit.estimators.straight_through import StraightThrough
from relaxit.gradients import GradientProblem, Point, ProblemCase, Surroundings

SLOPES = torch.tensor([[1.0, -2.0, 0.5], [2.0, 0.0, -1.0]], dtype=torch.float64)
PARAMS = torch.tensor([[0.3, -0.4, 1.1], [-0.8, 0.2, 0.0]], dtype=torch.float64)


def quadratic(z):  # [..., 2, 3] -> [...]
    return ((SLOPES * z).sum((-2, -1)) + 0.25) ** 2


def linear(z):
    return (SLOPES * z).sum((-2, -1))


class Tiny(GradientProblem):
    """Two variables of three categories, 9 joint values."""

    api, name, summary = 1, "test-tiny", "two variables of three categories"

    def cases(self, around: Surroundings):
        relaxation = around.relaxation or relaxit.get("categorical", categories=3)
        for label, cost in {"linear": linear, "quadratic": quadratic}.items():
            yield ProblemCase(label, relaxation, (Point(PARAMS, cost),))


class Stretched(StraightThrough):
    """Straight-through, with its gradient 1.3 times as long: a bias of 0.3 for linear costs."""

    name, unbiased = "test-stretched", ""

    def given(self, q, hard, generator=None):
        value = super().given(q, hard, generator)
        return replace_gradient(hard, 1.3 * value)


class Drawn(Stretched):
    """The same, not to be enumerated: it does not say that it acts through the draw alone."""

    name = "test-drawn"

    def surrogate(self, q, cost, generator=None):
        return cost(self.sample(q, generator=generator))


class Noisy(StraightThrough):
    """Straight-through, times 1 + N(0, 1): the same mean, twice the mean square."""

    name, unbiased = "test-noisy", ""

    def given(self, q, hard, generator=None):
        value = super().given(q, hard, generator)
        factors = torch.randn(hard.shape[:-2], generator=generator, dtype=hard.dtype)
        return replace_gradient(hard, (1 + factors[..., None, None]) * value)


class Score(Estimator):
    """Two draws, each with its own cost: unbiased, at two evaluations. It says that it makes 1."""

    api, name, hard, unbiased = 1, "test-score", True, "any"

    def surrogate(self, q, cost, generator=None):
        z = q.sample_hard((2,), generator)
        f, log_mass = cost(z).detach(), q.discrete.log_prob(z).sum(-1)
        return f.mean(0) + (f * (log_mass - log_mass.detach())).mean(0)


class MeanField(Estimator):
    """The cost of the marginals: no randomness at all, and exact for linear costs."""

    api, name, hard, unbiased = 1, "test-mean-field", False, ""

    def surrogate(self, q, cost, generator=None):
        return cost(q.discrete.mean)


class Baseline(StatefulEstimator):
    """One score with a baseline that is learned: a parameter by descent, a buffer by counting."""

    api, name, hard, unbiased = 1, "test-baseline", True, "any"

    def build_state(self, relaxation, variables):
        state = nn.Module()
        state.register_parameter("level", nn.Parameter(torch.zeros(())))
        state.register_buffer("steps", torch.zeros((), dtype=torch.long))
        return state

    def surrogate(self, q, cost, generator=None, state=None):
        z = q.sample_hard((), generator)
        f, log_mass = cost(z).detach(), q.discrete.log_prob(z).sum(-1)
        level = state.level if state else f.new_zeros(())
        if state and state.training:
            state.steps += 1
        fit = (f - level).square()
        score = (f - level.detach()) * (log_mass - log_mass.detach())
        return f + score + fit - fit.detach()


class Rejecting(DrawEstimator):
    api, name = 1, "test-rejecting"

    def check(self, relaxation):
        raise relaxit.Unsupported("it needs what nobody has")

    def given(self, q, hard, generator=None):
        raise AssertionError("asked although it was rejected")


class Failing(Estimator):
    api, name, hard = 1, "test-failing", True

    def surrogate(self, q, cost, generator=None):
        raise RuntimeError("two\nlines")


class Undefined(StraightThrough):
    """Straight-through without a gradient where the first of two variables has its first value."""

    name, unbiased = "test-undefined", ""

    def given(self, q, hard, generator=None):
        value = super().given(q, hard, generator)
        return replace_gradient(hard, value * (hard[..., :1, :1] == 0).to(hard).log().add(1))


class UndefinedCold(Undefined):
    """The same, drawn, and only at temperatures below 1."""

    name = "test-undefined-cold"

    def surrogate(self, q, cost, generator=None):
        hard = q.sample_hard(generator=generator)
        kind = Undefined if float(q.temperature) < 1 else StraightThrough
        return cost(kind.given(self, q, hard, generator))


class Moved(StraightThrough):
    """Returns another value than the one given."""

    name = "test-moved"

    def given(self, q, hard, generator=None):
        return replace_gradient(1 - hard, super().given(q, hard, generator))
