"""Shape checks shared by all distributions, with their error messages."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from relaxit.errors import DomainError, ShapeError

__all__ = ["align_temperature", "as_size", "batch_shape_of", "check_temperature_value"]


def as_size(shape: int | tuple[int, ...] | torch.Size) -> torch.Size:
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


def check_temperature_value(temperature: float) -> None:
    """Reject a float temperature that is not a finite positive number.

    Raises:
        DomainError: for 0, a negative number, NaN or infinity.
    """
    if not 0 < temperature < math.inf:  # a comparison, which compilers trace for any number
        raise DomainError(f"temperature must be finite and > 0, got {temperature}")


def align_temperature(
    owner: str, temperature: float | Tensor, batch_shape: torch.Size, rank: int
) -> float | Tensor:
    """Give a tensor temperature one trailing 1 per parameter dimension.

    The result broadcasts against params (``[*batch, *param_shape]``), so a plugin writes
    ``params / temperature`` for scalar and for per-row temperatures alike. Without this step a
    ``[batch]`` temperature silently broadcasts against the *last* dimension of params
    (pytorch#37162).

    Args:
        owner: name used in the error message.
        temperature: float, or tensor that broadcasts to ``batch_shape``.
        batch_shape: batch shape of the distribution.
        rank: number of parameter dimensions.

    Raises:
        ShapeError: if the temperature would enlarge the batch.
    """
    if not isinstance(temperature, Tensor) or temperature.dim() == 0:
        return temperature
    given = temperature.shape
    offset = len(batch_shape) - len(given)
    fits = offset >= 0 and all(
        size in (1, batch_shape[offset + dim]) for dim, size in enumerate(given)
    )
    if not fits:
        raise ShapeError(
            f"{owner}: temperature of shape {list(given)} does not broadcast to the batch shape "
            f"{list(batch_shape)}; expand params first if a grid of temperatures is meant"
        )
    return temperature.reshape(*given, *(1,) * rank)
