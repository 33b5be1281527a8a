"""Shape checks shared by all distributions, with their error messages."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from relaxit.aliases import Shape
from relaxit.errors import DomainError, ShapeError

__all__ = ["as_size", "batch_shape_of", "check_value", "plain_shape"]


def as_size(shape: Shape) -> torch.Size:
    """Convert a sample shape, given as an int, tuple or Size, to a Size.

    Example:
        >>> as_size(3), as_size((2, 1))
        (torch.Size([3]), torch.Size([2, 1]))
    """
    return torch.Size((shape,)) if isinstance(shape, int) else torch.Size(shape)


def batch_shape_of(owner: str, what: str, tensor: object, trailing: torch.Size) -> torch.Size:
    """Return the leading dimensions of ``tensor``, whose last ones must equal ``trailing``.

    Raises:
        ShapeError: if they do not, naming the owner, the expected shape and the actual one.
        DomainError: if it is not a tensor. A ValueError, as torch's distributions raise.
    """
    if not isinstance(tensor, Tensor):
        raise DomainError(f"{owner}: {what} must be a tensor, got {type(tensor).__name__}")
    rank = len(trailing)
    split = tensor.dim() - rank
    if split < 0 or plain_shape(tensor)[split:] != trailing:
        expected = ", ".join(["*", *map(str, trailing)])
        raise ShapeError(f"{owner}: {what} must be [{expected}], got {list(tensor.shape)}")
    return tensor.shape[:split]


def plain_shape(tensor: Tensor) -> torch.Size:
    """Return the shape in plain numbers, also under ``torch.jit.trace``, where sizes are tensors.

    A trace takes them as constants, without a warning. So use it for the sizes that a structure
    fixes; those of the batch should stay as they are, because a trace may be called with others.

    Example:
        >>> torch.jit.trace(lambda x: x * plain_shape(x)[-1], torch.ones(2))(torch.ones(2))
        tensor([2., 2.])
    """
    if not torch.jit.is_tracing():  # type: ignore[attr-defined]
        return tensor.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a trace takes them as constants
        return torch.Size([int(size) for size in tensor.shape])


def check_value(owner: str, value: object, batch: torch.Size, event: torch.Size) -> None:
    """Reject a value that has no log-probability, as torch's own distributions do.

    Args:
        owner: name used in the error message.
        value: should be a tensor ``[..., *event]`` that broadcasts against the batch.
        batch: batch shape of the distribution.
        event: shape of one value.

    Raises:
        DomainError: if the value is not a tensor.
        ShapeError: if its shape does not fit.

    Example:
        >>> check_value("coin", torch.zeros(5, 1), torch.Size([3]), torch.Size())
        >>> check_value("coin", torch.zeros(5, 2), torch.Size([3]), torch.Size())
        Traceback (most recent call last):
            ...
        relaxit.errors.ShapeError: coin: value [5, 2] does not broadcast to [*, 3]
    """
    lead = batch_shape_of(owner, "value", value, event)
    if torch.jit.is_tracing():  # type: ignore[attr-defined]
        return  # a trace may be called with another batch
    for size, expected in zip(lead[::-1], batch[::-1], strict=False):
        if size != expected and size != 1 and expected != 1:
            given, wanted = list(lead + event), ", ".join(map(str, batch + event))
            raise ShapeError(f"{owner}: value {given} does not broadcast to [*, {wanted}]")
