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

**Padding.** Lists of different lengths are padded to one tensor, and a mask tells which entries are
items. A value of ``-inf`` is a pad too; where values are not read (on a GPU, in compiled code and
under ``vmap``) only the mask says so. The result for the items is that of the list without pads, in
every function. The pads take the last places, in the order of their index, whatever the direction:

* in P, row i + 1 of a list of i items has its one at the first pad, and so on: P stays a
  permutation matrix, with which ``P @ labels`` moves the labels of pads to the end;
* :func:`rank` returns these places, behind the ranks of all items;
* :func:`sort` and the values of :func:`topk` are ``-inf`` beyond the last item, or ``+inf`` where
  the smallest comes first, as if the pads had been filled so;
* the weights of :func:`topk` are 0 there, so that no pad is ever selected.

Pads have gradient 0.

For hard values with the gradient of soft ones, see :func:`relaxit.functional.straight_through`. For
random orders, with a distribution and an entropy, see the relaxation ``permutation-plackett-luce``.

References: :mod:`relaxit_permutation.sorting.softsort`,
:mod:`relaxit_permutation.sorting.neuralsort`,
:mod:`relaxit_permutation.sinkhorn.operator`; Cuturi, Teboul, Vert, "Differentiable Ranks and
Sorting using Optimal Transport", arXiv:1905.11885 (ranks as a transport to equally spaced anchors).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from relaxit.arguments import without_dim
from relaxit_permutation.matrices.rounding import sorting_matrix
from relaxit_permutation.sorting.items import Items, items_of, places_of
from relaxit_permutation.sorting.soft_matrix import SortRelaxation, soft_matrix

__all__ = [
    "SortRelaxation",
    "TopK",
    "hard_permutation",
    "rank",
    "soft_permutation",
    "sort",
    "topk",
]


class TopK(NamedTuple):
    """The k largest values and the weights of the items in them.

    Attributes:
        values: soft values, with k places in the dimension of the items, the largest first.
        weights: rows of the soft permutation matrix ``[..., k, n]``, in place of the indices of
            ``torch.topk``. The sum of all weights is k, or the number of items if there are fewer.

    The sum of the weights over the k places, ``weights.sum(-2)``, is at most 1 for ``sinkhorn``
    only. It is then a soft indicator of the k items. For ``softsort`` and ``neuralsort``, whose
    columns have no fixed sum, it may exceed 1: for values 2, 1, 0, -10 and k = 3 it reaches 1.07
    and 1.11. Where only the indicator is needed, ``relaxit.functional.soft_topk`` computes one, in
    O(n) numbers (package relaxit-subset).
    """

    values: Tensor
    weights: Tensor


def soft_permutation(
    values: Tensor,
    temperature: float | Tensor = 1.0,
    relaxation: SortRelaxation = "softsort",
    *,
    descending: bool = True,
    dim: int = -1,
    mask: Tensor | None = None,
) -> Tensor:
    """Return the soft matrix that sorts; row i has the weights of the items at rank i.

    Args:
        values: values of a floating-point dtype, finite or, at pads, ``-inf``.
        temperature: positive float, or tensor that broadcasts to the shape of values without
            ``dim``, or has as many dimensions as values and size 1 at ``dim``.
        relaxation: ``softsort``, ``neuralsort`` or ``sinkhorn``.
        descending: whether the largest value has rank 1.
        dim: dimension of the n items.
        mask: bool tensor that broadcasts to values, True where there is an item; see
            :mod:`relaxit_permutation.sorting.ranking` on padding.

    Returns:
        Matrices ``[..., n, n]`` in the dtype of values: the shape of values without ``dim``, then
        ranks, then items.

    Raises:
        TypeError: if values are not a floating-point tensor, the mask is not bool, or the
            temperature is not a number.
        ConfigurationError: if the relaxation is unknown.
        IndexError: if there is no such dimension.
        ShapeError: if there are no items, or the temperature or the mask does not broadcast.
        DomainError: if the temperature is not positive; on the CPU outside compiled code also if
            a value is NaN or ``+inf``.

    Example:
        >>> soft_permutation(torch.tensor([0.0, 2.0, 1.0]), 0.1).round(decimals=3)
        tensor([[0., 1., 0.],
                [0., 0., 1.],
                [1., 0., 0.]])
    """
    if has_torch_function_unary(values):  # a subclass of Tensor, or a symbolic trace
        return handle_torch_function(
            soft_permutation, (values,), values, temperature, relaxation,
            descending=descending, dim=dim, mask=mask,
        )  # fmt: skip
    items = items_of("soft_permutation", values, dim, mask)
    temperature = without_dim("soft_permutation", temperature, values, dim)
    p = soft_matrix("soft_permutation", items, temperature, relaxation, descending)
    return p.to(values.dtype)


def hard_permutation(
    values: Tensor, *, descending: bool = True, dim: int = -1, mask: Tensor | None = None
) -> Tensor:
    """Return the permutation matrix that sorts, without gradient; equal values keep their order.

    Args:
        values, descending, dim, mask: as for :func:`soft_permutation`.

    Returns:
        Matrices ``[..., n, n]``, as :func:`soft_permutation`.

    Raises:
        TypeError, IndexError, ShapeError, DomainError: as :func:`soft_permutation`.

    Example:
        >>> hard_permutation(torch.tensor([1.0, 2.0, 2.0]))
        tensor([[0., 1., 0.],
                [0., 0., 1.],
                [1., 0., 0.]])
    """
    if has_torch_function_unary(values):
        return handle_torch_function(
            hard_permutation, (values,), values, descending=descending, dim=dim, mask=mask
        )
    x, pads = items_of("hard_permutation", values, dim, mask)
    x = x.detach() if descending else -x.detach()
    return sorting_matrix(x if pads is None else x.masked_fill(pads, -torch.inf))


def sort(
    values: Tensor,
    temperature: float | Tensor = 1.0,
    relaxation: SortRelaxation = "softsort",
    *,
    descending: bool = True,
    dim: int = -1,
    mask: Tensor | None = None,
) -> Tensor:
    """Return softly sorted values: weighted means of the values, ``P @ values``.

    Args:
        values, temperature, relaxation, descending, dim, mask: as for :func:`soft_permutation`.

    Returns:
        Values of the same shape and dtype, sorted along ``dim``. Beyond the last item they are
        ``-inf``, or ``+inf`` if the smallest comes first.

    Raises:
        TypeError, ConfigurationError, IndexError, ShapeError, DomainError: as
            :func:`soft_permutation`.

    Example:
        >>> sort(torch.tensor([0.0, 2.0, 1.0]), 0.2)
        tensor([1.9932, 1.0000, 0.0068])
        >>> sort(torch.tensor([0.0, 2.0, -torch.inf, 1.0]), 0.2)
        tensor([1.9932, 1.0000, 0.0068,   -inf])
    """
    if has_torch_function_unary(values):
        return handle_torch_function(
            sort, (values,), values, temperature, relaxation,
            descending=descending, dim=dim, mask=mask,
        )  # fmt: skip
    items = items_of("sort", values, dim, mask)
    temperature = without_dim("sort", temperature, values, dim)
    p = soft_matrix("sort", items, temperature, relaxation, descending)
    return _restored(_applied(p, items, descending), dim)


def rank(
    values: Tensor,
    temperature: float | Tensor = 1.0,
    relaxation: SortRelaxation = "softsort",
    *,
    descending: bool = True,
    dim: int = -1,
    mask: Tensor | None = None,
) -> Tensor:
    """Return soft ranks: 1 for the largest value, n for the smallest.

    They count from 1, as is usual in statistics (``scipy.stats.rankdata``, torchsort). There the
    smallest value has rank 1, as here with ``descending=False``. The index into a sorted tensor is
    one less.

    The rank of an item is the mean of the ranks, weighted by its column, divided by the sum of the
    weights, which is 1 for ``sinkhorn`` only. So at every temperature it lies between 1 and n and
    ranks are in the order of the values; equal values have equal ranks. In a padded list of m items
    these have ranks 1 to m, and the pads m + 1, m + 2, ..., n.

    Args:
        values, temperature, relaxation, descending, dim, mask: as for :func:`soft_permutation`.

    Returns:
        Ranks of the same shape, in float32, or in float64 if values are float64: float16 and
        bfloat16 do not hold the integers beyond 2048 and 256.

    Raises:
        TypeError, ConfigurationError, IndexError, ShapeError, DomainError: as
            :func:`soft_permutation`.

    Example:
        >>> rank(torch.tensor([0.0, 2.0, 1.0]), 0.4)
        tensor([2.9167, 1.0833, 2.0000])
        >>> rank(torch.tensor([0.0, 2.0, -torch.inf, 1.0]), 0.4)
        tensor([2.9167, 1.0833, 4.0000, 2.0000])
    """
    if has_torch_function_unary(values):
        return handle_torch_function(
            rank, (values,), values, temperature, relaxation,
            descending=descending, dim=dim, mask=mask,
        )  # fmt: skip
    items = items_of("rank", values, dim, mask)
    temperature = without_dim("rank", temperature, values, dim)
    p = soft_matrix("rank", items, temperature, relaxation, descending)
    n = p.shape[-1]
    ranks = torch.arange(1, n + 1, dtype=p.dtype, device=p.device).unsqueeze(-1)
    return _restored((p * ranks).sum(-2) / p.sum(-2), dim)


def topk(
    values: Tensor,
    k: int,
    temperature: float | Tensor = 1.0,
    relaxation: SortRelaxation = "softsort",
    *,
    largest: bool = True,
    dim: int = -1,
    mask: Tensor | None = None,
) -> TopK:
    """Return the k largest values, softly, and the weights of the items in them.

    ``softsort`` and ``neuralsort`` compute only k rows: O(k n) numbers.

    Args:
        k: number of values, from 1 to n. Where there are fewer items, the remaining values are
            ``-inf`` (``+inf`` for the smallest) and have weights of 0.
        largest: whether to take the largest or the smallest values.
        values, temperature, relaxation, dim, mask: as for :func:`soft_permutation`.

    Returns:
        A tuple of values, with k in place of n at ``dim``, and weights ``[..., k, n]``: the shape
        of values without ``dim``, then places, then items.

    Raises:
        TypeError, ConfigurationError, IndexError, ShapeError, DomainError: as
            :func:`soft_permutation`; also TypeError if k is not an integer, and DomainError if it
            is out of range.

    Example:
        >>> best = topk(torch.tensor([0.0, 2.0, 1.0]), 2, 0.2)
        >>> best.values
        tensor([1.9932, 1.0000])
        >>> best.weights.sum(-2)
        tensor([0.0067, 0.9999, 0.9934])
    """
    if has_torch_function_unary(values):
        return handle_torch_function(
            topk, (values,), values, k, temperature, relaxation,
            largest=largest, dim=dim, mask=mask,
        )  # fmt: skip
    items = items_of("topk", values, dim, mask)
    k = places_of("topk", k, items.values.shape[-1])
    temperature = without_dim("topk", temperature, values, dim)
    p = soft_matrix("topk", items, temperature, relaxation, largest, k)
    if items.pads is not None:
        p = p.masked_fill(items.beyond(k).unsqueeze(-1), 0.0)
    return TopK(_restored(_applied(p, items, largest), dim), p.to(values.dtype))


def _applied(p: Tensor, items: Items, descending: bool) -> Tensor:  # [..., k, n] -> [..., k]
    """Return the sorted values, infinite behind the last item."""
    values, pads = items
    found = (p * values.to(p.dtype).unsqueeze(-2)).sum(-1).to(values.dtype)
    if pads is None:
        return found
    last = -torch.inf if descending else torch.inf
    return found.masked_fill(items.beyond(p.shape[-2]), last)


def _restored(places: Tensor, dim: int) -> Tensor:
    return places if dim == -1 else places.movedim(-1, dim)
