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

from relaxit.testing.check import ALPHA, require

__all__ = [
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
        AssertionError: a row of ``values`` is none of ``vertices``.

    Example:
        >>> import torch
        >>> count_values(torch.eye(3)[[0, 2, 2]], torch.eye(3))
        tensor([1, 0, 2])
    """
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

    Values that are expected less than 50 times are tested together; one of probability zero must
    not occur at all.

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
    p = mass.detach().double().cpu()
    counts = observed.double().cpu()
    never = int((counts[p == 0] > 0).sum())
    if never:
        return f"{never} of the values of mass zero occurred"
    p, total = p / p.sum(), float(counts.sum())
    rare = p * total < FEW  # the chi-square test needs larger counts: these share one cell
    if bool(rare.any()):
        shared, hits = float(p[rare].sum()), int(counts[rare].sum())
        if shared * total < FEW:  # which is tested on its own if it is still too small
            if stats.binomtest(hits, int(total), shared).pvalue < ALPHA / 2:
                return (
                    f"rare values should occur {shared * total:.2g} times and occurred {hits} times"
                )
            p, counts = p[~rare], counts[~rare]
        else:
            p = torch.cat([p[~rare], p.new_tensor([shared])])
            counts = torch.cat([counts[~rare], counts.new_tensor([float(hits)])])
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
    table = torch.stack([one, other]).double().cpu()
    rare = table.sum(0) < 2 * FEW
    cells = torch.cat([table[:, ~rare], table[:, rare].sum(1, keepdim=True)], 1)
    cells = cells[:, cells.sum(0) >= 2 * FEW]
    if cells.shape[1] < 2 or stats.chi2_contingency(cells.numpy()).pvalue > ALPHA:
        return ""
    shares = cells / cells.sum(1, keepdim=True)
    worst = int((shares[0] - shares[1]).abs().argmax())
    return f"a value has share {shares[0, worst]:.4f}, but {shares[1, worst]:.4f} among draws"


def threshold(comparisons: int) -> float:
    """Return the allowed error in standard errors if this many means are compared."""
    return float(stats.norm.isf(ALPHA / 2 / max(comparisons, 1)))


def wrong_mean(values: Tensor, mean: Tensor | float, error: Tensor | float = 0.0) -> str:
    """Compare the mean of independent rows ``[M, ...]`` with an expected mean.

    Args:
        values: draws, ``[M, ...]``.
        mean: expected mean, ``[...]``.
        error: standard error of ``mean``, if it is itself an estimate.

    Returns:
        What differs; empty if the means agree.
    """
    rows = values.detach().double().reshape(len(values), -1)
    wanted = torch.as_tensor(mean).detach().double().flatten().to(rows.device)
    known = torch.as_tensor(error, dtype=torch.float64).flatten().to(rows.device)
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
    given = torch.as_tensor(error, dtype=torch.float64, device=got.device).expand(got.shape)
    got, wanted, given = (x.detach().double().flatten() for x in (got, wanted, given))
    return _wrong(got, wanted, given, rounding)


def _wrong(got: Tensor, wanted: Tensor, spread: Tensor, rounding: float = 1e-6) -> str:
    allowed = threshold(len(got)) * spread + rounding * (1 + wanted.abs())
    off = (got - wanted).abs() / allowed
    if not bool(off.isfinite().all()):
        return "a mean is not finite"
    if float(off.max()) <= 1:
        return ""
    worst = int(off.argmax())
    return f"a mean is {got[worst]:.5f} and should be {wanted[worst]:.5f} (+- {spread[worst]:.5f})"
