"""Lists of values to sort, with padding: which entries are items, and where the others go.

An entry is a *pad* where a mask is False or the value is ``-inf``. Pads take no part: the soft
matrix of the items is that of the list without pads, and the pads take the last places, in the
order of their indices, whatever the direction. For this they need no operation on matrices: before
the matrix is made, :func:`put_last` gives them values so far below all others, and from each other,
that their weights underflow to 0.
"""

from __future__ import annotations

import operator
from typing import NamedTuple

import torch
from torch import Tensor

from relaxit.arguments import floating
from relaxit.errors import DomainError, ShapeError
from relaxit.masks import apply_mask
from relaxit_permutation.matrices.reading import known, smallest_known

__all__ = ["Items", "items_of", "pad_places", "places_of", "put_last", "scores_of", "without_pads"]

_FAR = 1000.0
"""Distance in temperatures at which a weight is 0 in every dtype: exp(-746) is, in float64."""


class Items(NamedTuple):
    """Values to sort, along the last dimension.

    Attributes:
        values: ``[..., n]``, finite at pads too.
        pads: which entries are pads, ``[..., n]`` of bool; None if there are none.
    """

    values: Tensor
    pads: Tensor | None

    def beyond(self, places: int) -> Tensor:
        """Return which of the first places are behind all items, ``[..., places]`` of bool."""
        assert self.pads is not None
        place = torch.arange(places, device=self.pads.device)
        return place >= (~self.pads).sum(-1, keepdim=True)


def items_of(owner: str, values: Tensor, dim: int = -1, mask: Tensor | None = None) -> Items:
    """Check the values and move the items to the last dimension.

    Without a mask, pads are found where values can be read: on the CPU outside compiled code.

    Args:
        owner: name used in error messages.
        values: values ``[...]`` of a floating-point dtype.
        dim: dimension of the items.
        mask: bool tensor that broadcasts to values, True where there is an item.

    Raises:
        TypeError: if values are not a floating-point tensor, or the mask is not bool.
        IndexError: if there is no such dimension.
        ShapeError: if there are no items, or the mask does not broadcast.
        DomainError: if a value is NaN or ``+inf`` and values can be read.
    """
    floating(owner, "values", values)
    if values.dim() == 0 or values.size(dim) == 0:
        raise ShapeError(
            f"{owner}: values must have shape [*, n] with n >= 1, got {list(values.shape)}"
        )
    scores = apply_mask(owner, values, mask)
    if dim != -1:
        scores = scores.movedim(dim, -1)
    finite = known(scores, scores.isfinite)
    if finite is False and known(scores, lambda: scores < torch.inf) is False:
        raise DomainError(f"{owner}: values must be finite, or -inf where there is no item")
    if mask is None and finite is not False:
        return Items(scores, None)
    pads = scores.detach() == -torch.inf
    return Items(scores.masked_fill(pads, 0.0), pads)


def without_pads(scores: Tensor) -> Items:
    """Return scores in which those of pads, ``-inf``, are 0.

    Args:
        scores: scores ``[..., n]``.

    Returns:
        The scores themselves if it is known that there are no pads.
    """
    least = smallest_known(scores)
    if least is not None and least > -torch.inf:
        return Items(scores, None)
    pads = scores.detach() == -torch.inf
    return Items(scores.masked_fill(pads, 0.0), pads)


def scores_of(scores: Tensor) -> Items:
    """Return scores in which those of pads, ``-inf``, are finite, but behind all others.

    Args:
        scores: scores ``[..., n]``, float32 or wider.

    Returns:
        The scores themselves if it is known that there are no pads.
    """
    values, pads = without_pads(scores)
    return Items(values, None) if pads is None else Items(put_last(values, pads, 1.0), pads)


def places_of(owner: str, k: int, n: int) -> int:
    """Return the number of first places as an ``int``; integers of NumPy are accepted.

    Args:
        owner: name used in error messages.
        k: the number of places.
        n: the number of items.

    Raises:
        TypeError: if k is not an integer.
        DomainError: if it is out of range.

    Example:
        >>> places_of("topk", 2, 3)
        2
    """
    try:
        # The index of a tensor would be read from its device.
        k = operator.index("" if isinstance(k, bool | Tensor) else k)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{owner}: k must be an integer, got {k!r}") from None
    if not 1 <= k <= n:
        raise DomainError(f"{owner}: k must be between 1 and n = {n}, got {k}")
    return k


def pad_places(pads: Tensor) -> Tensor:  # [..., n] of bool -> [..., n]
    """Return the place of each pad, behind all items and in the order of its index; -1 for items.

    Example:
        >>> pad_places(torch.tensor([True, False, True]))
        tensor([ 1, -1,  2])
    """
    return torch.where(pads, (~pads).sum(-1, keepdim=True) - 1 + pads.cumsum(-1), -1)


def put_last(values: Tensor, pads: Tensor, temperature: float | Tensor) -> Tensor:
    """Return values of which the pads are far below the items, each farther than the one before.

    Weights of items at the ranks of pads, and of pads at the ranks of items, are then exactly 0,
    and a pad has all the weight of its rank.

    Args:
        values: values ``[..., n]``, float32 or wider, finite at pads too.
        pads: which entries are pads, ``[..., n]`` of bool.
        temperature: float, or tensor that broadcasts to ``[..., 1]``.

    Example:
        >>> put_last(torch.tensor([0.0, 5.0, 0.0]), torch.tensor([True, False, True]), 1.0)
        tensor([-1005.,     5., -2005.])
    """
    if isinstance(temperature, Tensor):
        temperature = temperature.detach()
    greatest = values.detach().masked_fill(pads, 0.0).abs().amax(-1, keepdim=True)
    # The second term exceeds the rounding errors of large values.
    step = _FAR * temperature + 8 * torch.finfo(values.dtype).eps * greatest
    return torch.where(pads, -greatest - step * pads.cumsum(-1), values)
