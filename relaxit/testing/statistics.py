"""Statistical comparisons, each at the false-alarm rate ALPHA, by scipy."""

from __future__ import annotations

import torch
from scipy import stats
from torch import Tensor

from relaxit.testing.check import ALPHA, require

__all__ = ["count", "threshold", "wrong_frequencies", "wrong_mean"]

DRAWS = 100_000
"""Draws of a frequency check: a probability of 0.3 that is off by 4 % is seen."""


def count(values: Tensor, vertices: Tensor) -> Tensor:
    """How often each of ``vertices`` ``[N, *event]`` occurs in ``values`` ``[M, *event]``."""
    # Each row is told by one number, so that M x N comparisons of events are not made.
    rows = values.double().reshape(len(values), -1)
    listed = vertices.double().reshape(len(vertices), -1)
    weights = torch.randn(rows.shape[1], dtype=torch.float64, generator=torch.Generator())
    weights = weights.to(rows.device)
    codes, order = (listed @ weights).sort()
    # Between two codes the boundary is half way; a value that is not listed lands somewhere.
    index = order[torch.bucketize(rows @ weights, (codes[1:] + codes[:-1]) / 2)]
    require(torch.equal(listed[index], rows), "a hard value is not among the enumerated ones")
    return torch.bincount(index, minlength=len(listed))


def wrong_frequencies(observed: Tensor, mass: Tensor) -> str:
    """What a chi-square test of counts ``[N]`` against masses ``[N]`` finds; empty if they fit."""
    p = mass.detach().double().cpu()
    seen = observed.double().cpu()
    never = int((seen[p == 0] > 0).sum())
    if never:
        return f"{never} values of mass zero occurred"
    p = p / p.sum()
    rare = p * seen.sum() < 5  # the chi-square law needs counts; these share one cell
    cells = torch.cat([p[~rare], p[rare].sum(0, keepdim=True)])
    counts = torch.cat([seen[~rare], seen[rare].sum(0, keepdim=True)])
    counts, cells = counts[cells > 0], cells[cells > 0]
    if len(cells) < 2:
        return ""
    expected = cells * counts.sum()
    if stats.chisquare(counts.numpy(), expected.numpy()).pvalue > ALPHA:
        return ""
    worst = ((counts - expected).abs() / expected.sqrt()).argmax()
    return (
        f"a value that should occur {expected[worst]:.0f} times in {counts.sum():.0f} "
        f"occurred {counts[worst]:.0f} times"
    )


def threshold(comparisons: int) -> float:
    """How many standard errors a mean may be off, if so many are compared."""
    return float(stats.norm.isf(ALPHA / 2 / max(comparisons, 1)))


def wrong_mean(values: Tensor, mean: Tensor, error: Tensor | float = 0.0) -> str:
    """What a comparison of independent rows ``[M, ...]`` with their mean finds; empty if it fits.

    Args:
        values: draws.
        mean: what their mean should be, ``[...]``.
        error: standard error of that mean, where it was itself estimated.
    """
    rows = values.detach().double().reshape(len(values), -1)
    wanted = mean.detach().double().flatten()
    known = torch.as_tensor(error, dtype=torch.float64).flatten().to(rows.device)
    got = rows.mean(0)
    spread = (rows.var(0) / len(rows) + known.square()).sqrt()
    allowed = threshold(rows.shape[1]) * spread + 1e-6 * (1 + wanted.abs())
    off = (got - wanted).abs() / allowed
    if not bool(off.isfinite().all()):
        return "a mean is not finite"
    if float(off.max()) <= 1:
        return ""
    worst = int(off.argmax())
    return f"a mean is {got[worst]:.5f} and should be {wanted[worst]:.5f} (+- {spread[worst]:.5f})"
