"""Relaxations with few capabilities, to test what an estimator takes for granted."""

from __future__ import annotations

import torch
from torch import Tensor

from relaxit import constraints
from relaxit.aliases import Generator
from relaxit.discrete import DiscreteDistribution
from relaxit.noise import gumbel
from relaxit.perturb import PerturbAndRelax
from relaxit.relaxation import Capabilities

__all__ = ["SamplesOnly", "ThreeNumbers"]

STEPS = (0.0, 1.0, 3.0)


class SamplesOnly(PerturbAndRelax):
    """One of three categories, without a discrete distribution, a density or masses."""

    api = 1
    name = "bare"
    summary = "one of three categories, samples only"
    capabilities = Capabilities(density=False, discrete_distribution=False, exact_rounding=False)
    event_shape = torch.Size((3,))
    param_shape = torch.Size((3,))
    support = constraints.simplex
    vertices = constraints.one_hot

    def relax(self, scores: Tensor, temperature: float | Tensor) -> Tensor:
        return torch.softmax(scores / temperature, -1)

    def argmax(self, scores: Tensor) -> Tensor:
        best = scores.argmax(-1, keepdim=True)
        return (torch.arange(3, device=scores.device) == best).to(scores.dtype)


class ThreeNumbers(PerturbAndRelax):
    """One of three numbers, with a discrete distribution; params are scores, not logits of the
    value."""

    api = 1
    name = "numbers"
    summary = "one of three numbers, with its discrete distribution"
    capabilities = Capabilities(
        density=False,
        discrete_distribution=True,
        exact_rounding=True,
        exponential_family=True,
        compiles=False,
    )
    event_shape = torch.Size(())
    param_shape = torch.Size((3,))
    support = torch.distributions.constraints.interval(STEPS[0], STEPS[-1])
    vertices = constraints.one_of(torch.tensor(STEPS))

    def relax(self, scores: Tensor, temperature: float | Tensor) -> Tensor:
        return _mean((scores / temperature).softmax(-1))

    def argmax(self, scores: Tensor) -> Tensor:
        return _best(scores)

    def hard(self, soft: Tensor) -> Tensor:
        return _best(-(soft.unsqueeze(-1) - soft.new_tensor(STEPS)).abs())

    def statistics(self, value: Tensor) -> Tensor:
        return _marks(value)

    def from_statistics(self, statistics: Tensor) -> Tensor:
        return _mean(statistics)

    def discrete(self, params: Tensor) -> ThreeNumbersDistribution:
        return ThreeNumbersDistribution(self, params)


def _marks(value: Tensor) -> Tensor:
    """Return a one at the place of each number, ``[..., 3]``."""
    return (value.unsqueeze(-1) == value.new_tensor(STEPS)).to(value.dtype)


def _mean(masses: Tensor) -> Tensor:
    """Return the mean of the numbers, without a matmul, which autocast would change."""
    return (masses * masses.new_tensor(STEPS)).sum(-1)


def _best(scores: Tensor) -> Tensor:
    """Return the number with the highest score."""
    best = scores.argmax(-1, keepdim=True) == torch.arange(len(STEPS), device=scores.device)
    return (best * scores.new_tensor(STEPS)).sum(-1)


class ThreeNumbersDistribution(DiscreteDistribution):
    """Distribution of the three numbers, whose masses are the softmax of the scores."""

    def _steps(self) -> Tensor:
        return self.scores.new_tensor(STEPS)

    def _log_prob(self, value: Tensor) -> Tensor:
        return (_marks(value) * self.scores.log_softmax(-1)).sum(-1)

    def entropy(self) -> Tensor:
        log_p = self.scores.log_softmax(-1)
        return -(log_p.exp() * log_p).sum(-1)

    def _mean(self) -> Tensor:
        return _mean(self.scores.softmax(-1))

    def _mode(self) -> Tensor:
        return _best(self.scores)

    def _sample(self, shape: torch.Size, generator: Generator = None) -> Tensor:
        scores = self.scores
        g = gumbel(
            shape + scores.shape, dtype=scores.dtype, device=scores.device, generator=generator
        )
        return _best(scores + g)

    def _enumerate_support(self) -> Tensor:
        return self._steps()
