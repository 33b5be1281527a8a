"""Entropy and KL divergence of Plackett-Luce as means over draws, with their standard errors.

For an order that was drawn, the entropy of each of its choices is known, and their sum has the
entropy of the law as its mean (the chain rule). It is less noisy than minus the log-mass of the
order, and for equal scores the same for all orders. So it is with divergences.

The gradient is unbiased as well: that of the exact parts and, for the draws, the score function
with the mean of the other draws as its baseline.

Reference: Kool, van Hoof, Welling, "Buy 4 REINFORCE Samples, Get a Baseline for Free!", ICLR 2019
workshop (the baseline).
"""

from __future__ import annotations

import torch
from torch import Tensor

from relaxit import noise
from relaxit.errors import DomainError
from relaxit_permutation.plackett_luce.choices import in_order, log_choices, log_mass

__all__ = ["entropy", "kl", "perturbed"]


def perturbed(scores: Tensor, shape: torch.Size, generator: torch.Generator | None) -> Tensor:
    """Scores plus Gumbel noise, ``[*shape, *batch, n]``: their order is a draw of the law."""
    full = shape + scores.shape
    g = noise.gumbel(full, dtype=scores.dtype, device=scores.device, generator=generator)
    return scores + g


def entropy(
    scores: Tensor, samples: int, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Estimate ``[*batch]`` of the entropy in nats, and its standard error.

    Args:
        scores: ``[*batch, n]``.
        samples: independent draws, at least 2.
        generator: source of randomness; the global one if None.
    """
    choices = log_choices(in_order(scores, _orders(scores, samples, generator)))
    entropies = -(choices.exp() * _finite(choices)).sum((-1, -2))
    return _mean(entropies, log_mass(choices))


def kl(
    scores: Tensor, other: Tensor, samples: int, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Estimate ``[*batch]`` of the KL divergence from the law with the other scores, and its error.

    Args:
        scores, other: ``[*batch, n]``; batch shapes broadcast.
        samples, generator: as for :func:`entropy`.
    """
    scores, other = torch.broadcast_tensors(scores, other)
    order = _orders(scores, samples, generator)
    choices, theirs = (log_choices(in_order(each, order)) for each in (scores, other))
    divergences = (choices.exp() * (_finite(choices) - _finite(theirs))).sum((-1, -2))
    return _mean(divergences, log_mass(choices))


def _orders(scores: Tensor, samples: int, generator: torch.Generator | None) -> Tensor:
    if samples < 2:
        raise DomainError(f"a standard error takes at least 2 samples, got {samples}")
    with torch.no_grad():
        noisy = perturbed(scores, torch.Size((samples,)), generator)
        return noisy.argsort(dim=-1, descending=True)


def _finite(log: Tensor) -> Tensor:
    """Zero instead of ``-inf``, to be multiplied by a probability of zero."""
    return log.masked_fill(log.detach() == -torch.inf, 0.0)


def _mean(values: Tensor, log_mass: Tensor) -> tuple[Tensor, Tensor]:
    """Mean over draws ``[S, *batch]`` with an unbiased gradient, and its standard error."""
    others = len(values) - 1
    mean = values.mean(0)
    off = (values - mean).detach()
    error = (off.square().mean(0) / others).sqrt()
    # By how much a draw is above the mean of the others: more than above that of all.
    above = off * ((others + 1) / others)
    score = (above * (log_mass - log_mass.detach())).mean(0)
    return mean + score, error
