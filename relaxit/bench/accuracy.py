"""How far an implementation's result is from the right answer."""

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
        relative: the same in units of the largest magnitude in that tensor, the largest over
            tensors; None if the right answer is 0 throughout.
        not_finite: entries that are infinite or NaN where the right answer is not, or that differ
            from an infinite right answer.
    """

    absolute: float
    relative: float | None
    not_finite: int = 0


def deviation_of(
    result: Tensor | tuple[Tensor, ...], right: Tensor | tuple[Tensor, ...]
) -> Deviation:
    """The error of a result, worked out in float64 on the CPU.

    Args:
        result: an implementation's, one tensor or several.
        right: the oracle's, as many tensors of the same shapes.

    Raises:
        ShapeError: if number or shapes of the tensors differ, which would otherwise broadcast.

    Example:
        >>> deviation_of(torch.tensor([1.0, 4.5]), torch.tensor([1.0, 4.0]))
        Error(absolute=0.5, relative=0.125, not_finite=0)
    """
    got, wanted = _tensors(result), _tensors(right)
    shapes = [[list(tensor.shape) for tensor in each] for each in (got, wanted)]
    if shapes[0] != shapes[1]:
        raise ShapeError(f"the result has shapes {shapes[0]}, the oracle's {shapes[1]}")
    each = [_one(a, b) for a, b in zip(got, wanted, strict=True)]
    relatives = [error.relative for error in each if error.relative is not None]
    return Deviation(
        max((error.absolute for error in each), default=0.0),
        max(relatives, default=None),
        sum(error.not_finite for error in each),
    )


def _tensors(value: Tensor | tuple[Tensor, ...]) -> list[Tensor]:
    several = (value,) if isinstance(value, Tensor) else value
    return [tensor.detach().cpu().double() for tensor in several]


def _one(result: Tensor, right: Tensor) -> Deviation:
    agree = result == right  # of infinities too, whose difference is NaN
    difference = torch.where(agree, 0.0, (result - right).abs())
    finite = difference.isfinite()
    largest = _largest(difference[finite])
    scale = _largest(right[right.isfinite()].abs())
    return Deviation(largest, largest / scale if scale else None, int((~finite).sum()))


def _largest(values: Tensor) -> float:
    return float(values.max()) if values.numel() else 0.0
