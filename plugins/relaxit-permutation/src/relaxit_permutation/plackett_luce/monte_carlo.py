"""Entropy and KL divergence of Plackett-Luce as means over samples, with their standard errors.

For a sampled order, the entropy of each of its choices is known. By the chain rule, the mean of
their sum is the entropy of the distribution. The sum is less noisy than minus the log-mass of the
order, and for equal scores it is the same for all orders. The same holds for divergences.

The gradient is unbiased as well: it is the gradient of the exact parts plus, for the samples, the
score function with the mean of the other samples as the baseline.

Reference: Kool, van Hoof, Welling, "Buy 4 REINFORCE Samples, Get a Baseline for Free!", ICLR 2019
workshop (the baseline).
"""

from __future__ import annotations

import torch
from torch import Tensor

from relaxit import noise
from relaxit.aliases import Generator
from relaxit.errors import DomainError
from relaxit_permutation.plackett_luce.choices import in_order, log_choices, log_mass

__all__ = ["entropy", "kl", "perturbed"]


def perturbed(scores: Tensor, shape: torch.Size, generator: Generator) -> Tensor:
    """Add Gumbel noise to scores, ``[*shape, *batch, n]``; the order is an exact sample."""
    g = noise.gumbel(
        shape + scores.shape, dtype=scores.dtype, device=scores.device, generator=generator
    )
    return scores + g


def entropy(scores: Tensor, samples: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Estimate the entropy ``[*batch]`` in nats, and the standard error of the estimate.

    Args:
        scores: scores ``[*batch, n]``.
        samples: number of independent samples, at least 2.
        generator: source of randomness; the global one if None.
    """
    choices = log_choices(in_order(scores, _orders(scores, samples, generator)))
    entropies = -(choices.exp() * _finite(choices)).sum((-1, -2))
    return _mean(entropies, log_mass(choices))


def kl(scores: Tensor, other: Tensor, samples: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Estimate the KL divergence ``[*batch]`` from the distribution of the other scores, in nats.

    The second result is the standard error of the estimate.

    Args:
        scores, other: scores ``[*batch, n]``; batch shapes broadcast.
        samples, generator: as for :func:`entropy`.
    """
    scores, other = torch.broadcast_tensors(scores, other)
    order = _orders(scores, samples, generator)
    choices, other_choices = (log_choices(in_order(s, order)) for s in (scores, other))
    divergences = (choices.exp() * (_finite(choices) - _finite(other_choices))).sum((-1, -2))
    return _mean(divergences, log_mass(choices))


def _orders(scores: Tensor, samples: int, generator: Generator) -> Tensor:
    if samples < 2:
        raise DomainError(f"a standard error requires at least 2 samples, got {samples}")
    with torch.no_grad():
        noisy = perturbed(scores, torch.Size((samples,)), generator)
        return noisy.argsort(dim=-1, descending=True)


def _finite(log: Tensor) -> Tensor:
    """Replace ``-inf`` by zero, to be multiplied by a probability of zero."""
    return log.masked_fill(log.detach() == -torch.inf, 0.0)


def _mean(values: Tensor, log_mass: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean over ``[S, *batch]`` with unbiased gradient, and its standard error."""
    others = len(values) - 1
    mean = values.mean(0)
    off = (values - mean).detach()
    error = (off.square().mean(0) / others).sqrt()
    # Deviation of a sample from the mean of the others; it exceeds that from the overall mean.
    above = off * ((others + 1) / others)
    score = (above * (log_mass - log_mass.detach())).mean(0)
    return mean + score, error
