"""Shape checks shared by all distributions, with their error messages."""

from __future__ import annotations

import torch
from torch import Tensor

from relaxit.aliases import Shape
from relaxit.errors import ShapeError

__all__ = ["as_size", "batch_shape_of"]


def as_size(shape: Shape) -> torch.Size:
    """Convert a sample shape, given as an int, tuple or Size, to a Size.

    Example:
        >>> as_size(3), as_size((2, 1))
        (torch.Size([3]), torch.Size([2, 1]))
    """
    return torch.Size((shape,)) if isinstance(shape, int) else torch.Size(shape)


def batch_shape_of(owner: str, what: str, tensor: Tensor, trailing: torch.Size) -> torch.Size:
    """Return the leading dimensions of ``tensor``, whose last ones must equal ``trailing``.

    Raises:
        ShapeError: if they do not, naming the owner, the expected shape and the actual one.
    """
    rank = len(trailing)
    split = tensor.dim() - rank
    if split < 0 or tensor.shape[split:] != trailing:
        expected = ", ".join(["*", *map(str, trailing)])
        raise ShapeError(f"{owner}: {what} must be [{expected}], got {list(tensor.shape)}")
    return tensor.shape[:split]
