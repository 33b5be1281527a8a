"""The error of an implementation's result against the right answer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from relaxit.errors import ShapeError

__all__ = ["Deviation", "deviation_of"]


@dataclass(frozen=True)
class Deviation:
    """The distance of a result from the oracle's.

    Attributes:
        absolute: largest absolute difference of an entry, over those that are finite.
        relative: the same relative to the largest magnitude in that tensor, the largest over
            tensors; None if the right answer is 0 throughout.
        not_finite: number of entries that are infinite or NaN where the right answer is not, or
            that differ from an infinite right answer.
    """

    absolute: float
    relative: float | None
    not_finite: int = 0


def deviation_of(
    result: Tensor | tuple[Tensor, ...], right: Tensor | tuple[Tensor, ...]
) -> Deviation:
    """Compute the error of a result, in float64 on the CPU.

    Args:
        result: result of an implementation, one tensor or several.
        right: result of the oracle, as many tensors of the same shapes.

    Raises:
        ShapeError: if number or shapes of the tensors differ, which would otherwise broadcast.

    Example:
        >>> deviation_of(torch.tensor([1.0, 4.5]), torch.tensor([1.0, 4.0]))
        Deviation(absolute=0.5, relative=0.125, not_finite=0)
    """
    actual, expected = _tensors(result), _tensors(right)
    shapes = [[list(tensor.shape) for tensor in tensors] for tensors in (actual, expected)]
    if shapes[0] != shapes[1]:
        raise ShapeError(f"the result has shapes {shapes[0]}, the oracle's {shapes[1]}")
    errors = [_deviation(a, b) for a, b in zip(actual, expected, strict=True)]
    relatives = [error.relative for error in errors if error.relative is not None]
    return Deviation(
        max((error.absolute for error in errors), default=0.0),
        max(relatives, default=None),
        sum(error.not_finite for error in errors),
    )


def _tensors(value: Tensor | tuple[Tensor, ...]) -> list[Tensor]:
    several = (value,) if isinstance(value, Tensor) else value
    return [tensor.detach().cpu().double() for tensor in several]


def _deviation(result: Tensor, right: Tensor) -> Deviation:
    agree = result == right  # of infinities too, whose difference is NaN
    difference = torch.where(agree, 0.0, (result - right).abs())
    finite = difference.isfinite()
    largest = _largest(difference[finite])
    scale = _largest(right[right.isfinite()].abs())
    return Deviation(largest, largest / scale if scale else None, int((~finite).sum()))


def _largest(values: Tensor) -> float:
    return float(values.max()) if values.numel() else 0.0
