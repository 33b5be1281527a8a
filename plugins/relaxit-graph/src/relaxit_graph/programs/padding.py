"""Rows of different lengths: the padded part of a structure is deterministic.

Padding leaves exactly one way through the padded part, at score 0, so the mass, the entropy and the
divergences between two padded distributions are those of the real part.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from relaxit import DomainError, ShapeError
from relaxit.tracing import can_read_values, known_false

__all__ = ["as_lengths", "only_first"]


def as_lengths(
    owner: str, lengths: Tensor, batch: torch.Size, longest: int, what: str = "lengths"
) -> Tensor:
    """Return lengths that broadcast to ``batch``, after checks.

    Args:
        owner: name used in error messages.
        lengths: integers from 1 to ``longest``.
        batch: batch shape of the params.
        longest: size of the padded dimension.
        what: what they are, for error messages.

    Raises:
        TypeError: if lengths are not an integer tensor.
        ShapeError: if they do not broadcast to the batch.
        DomainError: if one is out of range; values on a GPU are not read.

    Example:
        >>> as_lengths("chain", torch.tensor([3, 0]), torch.Size([2]), 4)
        Traceback (most recent call last):
        relaxit.errors.DomainError: chain: lengths must be from 1 to 4, got 0 to 3
    """
    integers = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
    if not isinstance(lengths, Tensor) or lengths.dtype not in integers:
        got = lengths.dtype if isinstance(lengths, Tensor) else type(lengths).__name__
        raise TypeError(f"{owner}: {what} must be an integer tensor, got {got}")
    try:
        fits = torch.broadcast_shapes(lengths.shape, batch) == batch
    except RuntimeError:
        fits = False
    if not fits:
        raise ShapeError(
            f"{owner}: {what} {list(lengths.shape)} do not broadcast to the batch {list(batch)}"
        )
    if can_read_values(lengths) and known_false(((lengths >= 1) & (lengths <= longest)).all()):
        low, high = int(lengths.min()), int(lengths.max())
        raise DomainError(f"{owner}: {what} must be from 1 to {longest}, got {low} to {high}")
    return lengths


def only_first(like: Tensor, *shape: int) -> Tensor:
    """Return scores that allow the first item only, at 0, with the dtype and device of ``like``.

    Example:
        >>> only_first(torch.zeros(()), 2, 2)
        tensor([[0., -inf],
                [-inf, -inf]])
    """
    place = torch.arange(math.prod(shape), device=like.device).reshape(shape)
    return like.new_zeros(shape).masked_fill(place > 0, -torch.inf)
