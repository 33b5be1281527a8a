"""Statistical comparisons with scipy, each at the false-alarm rate ALPHA.

Each comparison returns what differs, as a sentence, and an empty text if nothing does. Thus a test
asserts ``not wrong_mean(...)``, and ``wrong_mean(...)`` of a mutant.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from relaxit.errors import ShapeError
from relaxit.testing.check import ALPHA, require

__all__ = [
    "cells_of",
    "count_values",
    "threshold",
    "wrong_distribution",
    "wrong_estimate",
    "wrong_frequencies",
    "wrong_mean",
    "wrong_shares",
]

DRAWS = 100_000
"""Draws of a frequency check, which detects an error of 4 % in a probability of 0.3."""
FEW = 50
"""Below this expected count the chi-square distribution is inaccurate at ALPHA = 2e-5."""


def count_values(values: Tensor, vertices: Tensor) -> Tensor:
    """Count how often each of ``vertices`` ``[N, *event]`` occurs in ``values`` ``[M, *event]``.

    Returns:
        Counts, ``[N]``, int64.

    Raises:
        ConformanceError: a row of ``values`` is none of ``vertices``.
        ShapeError: their events have different shapes.

    Example:
        >>> import torch
        >>> count_values(torch.eye(3)[[0, 2, 2]], torch.eye(3))
        tensor([1, 0, 2])
    """
    if values.shape[1:] != vertices.shape[1:]:
        raise ShapeError(
            f"values {list(values.shape)} and vertices {list(vertices.shape)} must have the same "
            "event shape"
        )
    # Each row is identified by one number, which avoids M x N comparisons of events.
    rows = values.double().reshape(len(values), -1)
    listed = vertices.double().reshape(len(vertices), -1)
    weights = torch.randn(rows.shape[1], dtype=torch.float64, generator=torch.Generator())
    weights = weights.to(rows.device)
    codes, order = (listed @ weights).sort()
    # Boundaries are half way between two codes. A value that is not listed gets any index.
    index = order[torch.bucketize(rows @ weights, (codes[1:] + codes[:-1]) / 2)]
    require(torch.equal(listed[index], rows), "a hard sample is not among the enumerated values")
    return torch.bincount(index, minlength=len(listed))


def wrong_distribution(
    values: Tensor, distribution: str | Callable[[np.ndarray], np.ndarray]
) -> str:
    """Compare independent numbers with a continuous distribution by a Kolmogorov-Smirnov test.

    Args:
        values: draws, of any shape. Many draws of float16 or bfloat16 differ by their rounding.
        distribution: name of a distribution of ``scipy.stats``, or its distribution function.

    Returns:
        What differs; empty if the numbers may be draws.

    Example:
        >>> import torch
        >>> x = torch.linspace(0.001, 0.999, 1000)
        >>> wrong_distribution(x, "uniform"), wrong_distribution(x.square(), "uniform")[:26]
        ('', 'at 0.250 the distribution ')
    """
    test = stats.kstest(values.detach().double().cpu().flatten().numpy(), distribution)
    if test.pvalue > ALPHA:
        return ""
    at, gap = test.statistic_location, test.statistic
    return f"at {at:.3f} the distribution function is off by {gap:.3f}"


def wrong_frequencies(observed: Tensor, mass: Tensor) -> str:
    """Compare counts with probabilities by a chi-square test.

    Values that are expected less than 50 times share cells in which so many are expected; one of
    probability zero must not occur at all.

    Args:
        observed: counts, ``[N]``.
        mass: probabilities, ``[N]``, not necessarily normalised.

    Returns:
        What differs; empty if the counts agree.

    Example:
        >>> import torch
        >>> fair = torch.tensor([0.5, 0.5])
        >>> wrong_frequencies(torch.tensor([510, 490]), fair)
        ''
        >>> wrong_frequencies(torch.tensor([600, 400]), fair)
        'a value should occur 500 times in 1000 draws, but occurred 600 times'
    """
    _require_same_shape("counts and masses", observed, mass)
    p = mass.detach().double().cpu()
    counts = observed.double().cpu()
    never = int((counts[p == 0] > 0).sum())
    if never:
        return f"{never} of the values of mass zero occurred"
    p, total = p / p.sum(), float(counts.sum())
    cells = cells_of(p * total, FEW)
    p, counts = _sums(p, cells), _sums(counts, cells)
    if len(p) and float(p[0]) * total < FEW:  # too small even so, and tested on its own
        if stats.binomtest(int(counts[0]), int(total), float(p[0])).pvalue < ALPHA / 2:
            return (
                f"rare values should occur {float(p[0]) * total:.2g} times and occurred "
                f"{counts[0]:.0f} times"
            )
        p, counts = p[1:], counts[1:]
    if len(p) < 2:
        return ""
    expected = p / p.sum() * counts.sum()
    if stats.chisquare(counts.numpy(), expected.numpy()).pvalue > ALPHA / 2:
        return ""
    worst = ((counts - expected).abs() / expected.sqrt()).argmax()
    return (
        f"a value should occur {expected[worst]:.0f} times in {counts.sum():.0f} draws, but "
        f"occurred {counts[worst]:.0f} times"
    )


def wrong_shares(one: Tensor, other: Tensor) -> str:
    """Compare two tables of counts ``[N]`` by a chi-square test.

    Returns:
        What differs; empty if both may come from one distribution.
    """
    _require_same_shape("two tables of counts", one, other)
    table = torch.stack([one, other]).double().cpu()
    cells = cells_of(table.sum(0), 2 * FEW)
    table = torch.stack([_sums(row, cells) for row in table])
    table = table[:, table.sum(0) >= 2 * FEW]
    if table.shape[1] < 2 or stats.chi2_contingency(table.numpy()).pvalue > ALPHA:
        return ""
    shares = table / table.sum(1, keepdim=True)
    worst = int((shares[0] - shares[1]).abs().argmax())
    return f"a value has share {shares[0, worst]:.4f}, but {shares[1, worst]:.4f} among draws"


def cells_of(expected: Tensor, least: float) -> Tensor:  # [N] -> [N] int64
    """Assign values to cells in which at least so many draws are expected.

    The chi-square test needs large counts. A frequent value has a cell of its own; rare ones share
    cells, from number 0. If all of them together are expected less often, cell 0 holds too few.
    """
    rare = expected < least
    # Where one interval of the running sum ends, less than ``least`` is left to the next value.
    shared = (expected[rare].cumsum(0) / (2 * least)).long()
    held = _sums(expected[rare], shared)
    if len(held) > 1 and float(held[-1]) < least:
        shared.clamp_(max=len(held) - 2)
    first = int(shared[-1]) + 1 if len(shared) else 0
    cells = torch.empty_like(expected, dtype=torch.int64)
    cells[rare], cells[~rare] = shared, first + torch.arange(int((~rare).sum()))
    return cells


def _sums(values: Tensor, cells: Tensor) -> Tensor:
    """Add up the values of each cell."""
    return torch.bincount(cells, weights=values)


def _require_same_shape(what: str, one: Tensor, other: Tensor) -> None:
    if one.shape != other.shape or one.dim() != 1:
        raise ShapeError(f"{what} must be [N], got {list(one.shape)} and {list(other.shape)}")


def threshold(comparisons: int) -> float:
    """Return the allowed error in standard errors if this many means are compared."""
    return float(stats.norm.isf(ALPHA / 2 / max(comparisons, 1)))


def wrong_mean(values: Tensor, mean: Tensor | float, error: Tensor | float = 0.0) -> str:
    """Compare the mean of independent rows ``[M, ...]`` with an expected mean.

    Args:
        values: draws, ``[M, ...]``.
        mean: expected mean, which broadcasts to ``[...]``.
        error: standard error of ``mean``, if it is itself an estimate.

    Returns:
        What differs; empty if the means agree.

    Raises:
        ShapeError: ``mean`` or ``error`` does not broadcast to the shape of a row.

    Example:
        >>> import torch
        >>> x = torch.linspace(0, 1, 1000)
        >>> wrong_mean(x, 0.5), wrong_mean(x, 0.6)
        ('', 'a mean is 0.50000 and should be 0.60000 (+- 0.00914)')
    """
    rows = values.detach().double().reshape(len(values), -1)
    row = values.new_empty(values.shape[1:])
    wanted = _expanded("the expected mean", mean, row)
    known = _expanded("the standard error", error, row)
    return _wrong(rows.mean(0), wanted, (rows.var(0) / len(rows) + known.square()).sqrt())


def wrong_estimate(
    got: Tensor, wanted: Tensor, error: Tensor | float = 0.0, rounding: float = 1e-9
) -> str:
    """Compare an estimate with its expected value.

    Args:
        got: estimate, ``[...]``.
        wanted: expected value, ``[...]``.
        error: standard error of the estimate; if it is 0, only rounding errors are allowed.
        rounding: rounding error allowed in a number of size one.

    Returns:
        What differs; empty if the estimate agrees.
    """
    given = _expanded("the standard error", error, got)
    wanted = _expanded("the expected value", wanted, got)
    return _wrong(got.detach().double().flatten(), wanted, given, rounding)


def _expanded(what: str, number: Tensor | float, like: Tensor) -> Tensor:
    """Expand to a shape, in float64 and flat."""
    tensor = torch.as_tensor(number).detach().to(like.device, torch.float64)
    try:
        return tensor.expand(like.shape).flatten()
    except RuntimeError:
        shapes = f"{list(tensor.shape)} does not broadcast to {list(like.shape)}"
        raise ShapeError(f"{what} of shape {shapes}") from None


def _wrong(got: Tensor, wanted: Tensor, spread: Tensor, rounding: float = 1e-6) -> str:
    allowed = threshold(len(got)) * spread + rounding * (1 + wanted.abs())
    off = (got - wanted).abs() / allowed
    if not bool(off.isfinite().all()):
        return "a mean is not finite"
    if float(off.max()) <= 1:
        return ""
    worst = int(off.argmax())
    return f"a mean is {got[worst]:.5f} and should be {wanted[worst]:.5f} (+- {spread[worst]:.5f})"
