r"""Differentiable sorting, ranking and top-k of plain values, without noise.

    from relaxit_permutation import hard_permutation, rank, soft_permutation, sort, topk

All functions use a soft permutation matrix P ``[..., n, n]`` of the values: rows are ranks, columns
are items, P[i, j] = 1 if item j has rank i, and ``P @ values`` sorts. (diffsort returns the
transpose.) There are three relaxations:

=============  =============  =============================================================
name           P              cost and properties
=============  =============  =============================================================
``softsort``   rows sum to 1  one matrix of differences; the default
``neuralsort`` rows sum to 1  up to twice as long; sharper for items with others in between
``sinkhorn``   doubly         an iteration; sums of values and of ranks are preserved
               stochastic
=============  =============  =============================================================

All three have these properties:

* As the temperature tends to 0, P tends to the matrix of ``torch.sort`` if no two values are equal.
  Equal values have equal columns at every temperature, so that two items share two ranks evenly:
  the soft matrix of ties is not a permutation. :func:`hard_permutation` always returns one.
* Adding a constant to all values does not change P. Values c x at temperature c t have the P of x
  at t: choose the temperature in units of the gaps that should count as large. For two values all
  three relaxations are the same, sigmoids of the gap divided by the temperature.
* Gradients are finite, also at ties, where the absolute difference has slope 0. At temperatures far
  below the smallest gap they vanish, like those of a step function.

For hard values with the gradient of the soft ones write ``hard + soft - soft.detach()``. For random
orders, with a distribution and an entropy, see the relaxation ``permutation-plackett-luce``.

References: :mod:`relaxit_permutation.sorting.softsort`,
:mod:`relaxit_permutation.sorting.neuralsort`,
:mod:`relaxit_permutation.sinkhorn.operator`; Cuturi, Teboul, Vert, "Differentiable Ranks and
Sorting using Optimal Transport", arXiv:1905.11885 (ranks as a transport to equally spaced anchors).
"""

from __future__ import annotations

import numbers
import operator
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from relaxit.dtypes import compute_dtype
from relaxit.errors import ConfigurationError, DomainError, ShapeError
from relaxit.temperature import align_temperature, check_temperature_value
from relaxit.tracing import can_read_values, known_false
from relaxit_permutation.matrices.rounding import sorting_matrix
from relaxit_permutation.sinkhorn.operator import sinkhorn
from relaxit_permutation.sinkhorn.quotient import roomy
from relaxit_permutation.sorting.neuralsort import neuralsort
from relaxit_permutation.sorting.softsort import softsort

__all__ = [
    "SortRelaxation",
    "TopK",
    "hard_permutation",
    "rank",
    "soft_permutation",
    "sort",
    "topk",
]

SortRelaxation = Literal["softsort", "neuralsort", "sinkhorn"]


class TopK(NamedTuple):
    """The k largest values and the weights of the items in them.

    Attributes:
        values: soft values ``[..., k]``, the largest first.
        weights: rows of the soft permutation matrix ``[..., k, n]``, in place of the indices of
            ``torch.topk``. ``weights.sum(-2)`` is a soft indicator of the items.
    """

    values: Tensor
    weights: Tensor


def soft_permutation(
    values: Tensor,
    temperature: float | Tensor = 1.0,
    relaxation: SortRelaxation = "softsort",
    *,
    descending: bool = True,
) -> Tensor:  # [..., n] -> [..., n, n]
    """Return the soft matrix that sorts; row i has the weights of the items at rank i.

    Args:
        values: finite values ``[..., n]`` of a floating-point dtype.
        temperature: positive float, or tensor that broadcasts to the leading shape ``[...]``.
        relaxation: ``softsort``, ``neuralsort`` or ``sinkhorn``.
        descending: whether the largest value has rank 1.

    Raises:
        ConfigurationError: if values have an integer dtype or the relaxation is unknown.
        ShapeError: if there are no items, or the temperature does not broadcast.
        DomainError: if the temperature is not positive; on the CPU outside compiled code also if
            values are not finite.

    Example:
        >>> soft_permutation(torch.tensor([0.0, 2.0, 1.0]), 0.1).round(decimals=3)
        tensor([[0., 1., 0.],
                [0., 0., 1.],
                [1., 0., 0.]])
    """
    return _soft("soft_permutation", values, temperature, relaxation, descending).to(values.dtype)


def hard_permutation(values: Tensor, *, descending: bool = True) -> Tensor:  # [..., n, n]
    """Return the permutation matrix that sorts, without gradient; equal values keep their order.

    Args:
        values, descending: as for :func:`soft_permutation`.

    Raises:
        ConfigurationError, ShapeError, DomainError: as :func:`soft_permutation`.

    Example:
        >>> hard_permutation(torch.tensor([1.0, 2.0, 2.0]))
        tensor([[0., 1., 0.],
                [0., 0., 1.],
                [1., 0., 0.]])
    """
    _check("hard_permutation", values, 1.0)
    return sorting_matrix((values if descending else -values).detach())


def sort(
    values: Tensor,
    temperature: float | Tensor = 1.0,
    relaxation: SortRelaxation = "softsort",
    *,
    descending: bool = True,
) -> Tensor:  # [..., n] -> [..., n]
    """Return softly sorted values: weighted means of the values, ``P @ values``.

    Args:
        values, temperature, relaxation, descending: as for :func:`soft_permutation`.

    Raises:
        ConfigurationError, ShapeError, DomainError: as :func:`soft_permutation`.

    Example:
        >>> sort(torch.tensor([0.0, 2.0, 1.0]), 0.2)
        tensor([1.9932, 1.0000, 0.0068])
    """
    p = _soft("sort", values, temperature, relaxation, descending)
    return _applied(p, values)


def rank(
    values: Tensor,
    temperature: float | Tensor = 1.0,
    relaxation: SortRelaxation = "softsort",
    *,
    descending: bool = True,
) -> Tensor:  # [..., n] -> [..., n]
    """Return soft ranks: 1 for the largest value, n for the smallest.

    They count from 1, as is usual in statistics (``scipy.stats.rankdata``, torchsort). There the
    smallest value has rank 1, as here with ``descending=False``. The index into a sorted tensor is
    one less.

    The rank of an item is the mean of the ranks, weighted by its column, divided by the sum of the
    weights, which is 1 for ``sinkhorn`` only. So at every temperature it lies between 1 and n and
    ranks are in the order of the values; equal values have equal ranks.

    Args:
        values, temperature, relaxation, descending: as for :func:`soft_permutation`.

    Raises:
        ConfigurationError, ShapeError, DomainError: as :func:`soft_permutation`.

    Example:
        >>> rank(torch.tensor([0.0, 2.0, 1.0]), 0.4)
        tensor([2.9167, 1.0833, 2.0000])
    """
    p = _soft("rank", values, temperature, relaxation, descending)
    n = p.shape[-1]
    ranks = torch.arange(1, n + 1, dtype=p.dtype, device=p.device).unsqueeze(-1)
    return ((p * ranks).sum(-2) / p.sum(-2)).to(values.dtype)


def topk(
    values: Tensor,
    k: int,
    temperature: float | Tensor = 1.0,
    relaxation: SortRelaxation = "softsort",
    *,
    largest: bool = True,
) -> TopK:
    """Return the k largest values, softly, and the weights of the items in them.

    ``softsort`` and ``neuralsort`` compute only k rows: O(k n) numbers.

    Args:
        k: number of values, from 1 to n.
        largest: whether to take the largest or the smallest values.
        values, temperature, relaxation: as for :func:`soft_permutation`.

    Raises:
        ConfigurationError, ShapeError, DomainError: as :func:`soft_permutation`, and DomainError
            if k is out of range.

    Example:
        >>> best = topk(torch.tensor([0.0, 2.0, 1.0]), 2, 0.2)
        >>> best.values
        tensor([1.9932, 1.0000])
        >>> best.weights.sum(-2)
        tensor([0.0067, 0.9999, 0.9934])
    """
    try:
        k = operator.index("" if isinstance(k, bool) else k)  # type: ignore[arg-type]
    except TypeError:
        raise DomainError(f"topk: k must be an integer, got {k!r}") from None
    p = _soft("topk", values, temperature, relaxation, largest, k)
    return TopK(_applied(p, values), p.to(values.dtype))


def _soft(
    owner: str,
    values: Tensor,
    temperature: float | Tensor,
    relaxation: str,
    descending: bool,
    k: int | None = None,
) -> Tensor:
    """Return the first k rows of the soft matrix, in float32 or wider."""
    aligned = _check(owner, values, temperature)
    n = values.shape[-1]
    if k is not None and not 1 <= k <= n:
        raise DomainError(f"{owner}: k must be between 1 and n = {n}, got {k}")
    x = (values if descending else -values).to(compute_dtype(values.dtype))
    x, aligned = roomy(x, aligned)
    if relaxation == "softsort":
        return softsort(x, aligned, k)
    if relaxation == "neuralsort":
        return neuralsort(x, aligned, k)
    if relaxation == "sinkhorn":
        return _sinkhorn(x, aligned)[..., :k, :]
    known = ", ".join(get_args(SortRelaxation))
    raise ConfigurationError(f"{owner}: unknown relaxation {relaxation!r}. Known: {known}")


def _sinkhorn(x: Tensor, temperature: float | Tensor) -> Tensor:
    """Compute entropic transport of the values to equally spaced anchors, the largest to the first.

    The cost is the squared difference from anchors 1 apart. Only twice the product of anchor and
    value matters, because the squares are the same for all matrices. The factors n + 1 - 2i are
    those of NeuralSort.
    """
    n = x.shape[-1]
    anchors = n - 1 - 2 * torch.arange(n, dtype=x.dtype, device=x.device)
    # A constant added to all values is a constant per row, which the scaling removes; centring
    # only reduces rounding errors.
    centred = x - x.detach().mean(-1, keepdim=True)
    scores = anchors.unsqueeze(-1) * centred.unsqueeze(-2)
    tau = temperature.unsqueeze(-1) if isinstance(temperature, Tensor) else temperature
    return sinkhorn(scores, tau)


def _applied(p: Tensor, values: Tensor) -> Tensor:  # [..., k, n], [..., n] -> [..., k]
    return (p * values.to(p.dtype).unsqueeze(-2)).sum(-1).to(values.dtype)


def _check(owner: str, values: Tensor, temperature: float | Tensor) -> float | Tensor:
    """Reject values that cannot be sorted, and return the temperature aligned with values."""
    if not isinstance(values, Tensor) or not values.is_floating_point():
        kind = values.dtype if isinstance(values, Tensor) else type(values).__name__
        raise ConfigurationError(f"{owner}: values must be a floating-point tensor, got {kind}")
    if values.dim() == 0 or values.shape[-1] == 0:
        raise ShapeError(
            f"{owner}: values must have shape [*, n] with n >= 1, got {list(values.shape)}"
        )
    if not isinstance(temperature, Tensor):
        _check_number(owner, temperature)
    elif _any(temperature, ~(temperature.isfinite() & (temperature > 0))):
        raise DomainError(f"{owner}: temperature must be finite and > 0 everywhere")
    if _any(values, ~values.isfinite()):
        raise DomainError(f"{owner}: values must be finite")
    return align_temperature(owner, temperature, values.shape[:-1], 1)


def _check_number(owner: str, temperature: Any) -> None:
    if isinstance(temperature, bool) or not isinstance(temperature, numbers.Real):
        raise ConfigurationError(
            f"{owner}: temperature must be a number or tensor, got {temperature!r}"
        )
    check_temperature_value(float(temperature))


def _any(tensor: Tensor, flags: Tensor) -> bool:
    """Whether a flag is known to be set, if that can be read without synchronisation."""
    return can_read_values(tensor) and known_false(~flags.any())
