"""Division of scores by a temperature, safe for masked scores."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from relaxit import tracing

__all__ = [
    "divide_by_temperature",
    "log_temperature",
    "may_need_gradient",
    "representable",
    "without_overflow",
]


def may_need_gradient(temperature: float | Tensor) -> bool:
    """Whether a gradient may be asked for the temperature.

    Under ``torch.func``'s transforms a tensor does not say so, and is taken to ask.

    Example:
        >>> may_need_gradient(0.5), may_need_gradient(torch.ones(2).requires_grad_())
        (False, True)
    """
    if not isinstance(temperature, Tensor):
        return False
    if torch.compiler.is_compiling():
        return temperature.requires_grad
    return temperature.requires_grad or tracing.transforms_active()


def divide_by_temperature(scores: Tensor, temperature: float | Tensor) -> Tensor:
    """``scores / temperature``, with a finite gradient in a temperature that is learned.

    An infinite score stays what it is at every temperature, but the derivative of the quotient in
    the temperature there is infinite, and times the zero gradient that arrives it is NaN. So
    infinite scores are left out of the division, where a gradient may ask.

    A quotient may be infinite at low temperatures: where scores are compared, subtract the largest
    before.

    Args:
        scores: any shape; ``-inf`` and ``+inf`` allowed.
        temperature: float, or tensor that broadcasts against scores.

    Example:
        >>> divide_by_temperature(torch.tensor([1.0, -torch.inf]), 0.5)
        tensor([2., -inf])
    """
    if not isinstance(temperature, Tensor):
        return scores / representable(temperature, scores.dtype)
    if not may_need_gradient(temperature):
        return scores / temperature
    infinite = scores.isinf()
    return torch.where(infinite, scores, scores.masked_fill(infinite, 0.0) / temperature)


def representable(temperature: float, dtype: torch.dtype) -> float:
    """A temperature between the smallest normal and the largest number of a dtype.

    As a number of Python it may be smaller than anything that the dtype can hold, and a quotient by
    it would be one by zero. Where it is cut off, soft values are vertices and uniform long since.

    Example:
        >>> representable(1e-300, torch.float32) == torch.finfo(torch.float32).tiny
        True
    """
    info = torch.finfo(dtype)
    return min(max(temperature, info.tiny), info.max)


def without_overflow(temperature: float, dtype: torch.dtype) -> float:
    """A temperature by which perturbed scores can be divided, whatever the code does then.

    Noise is of size one, so that at the square root of the smallest number soft values have long
    been vertices, and quotients of scores of any sane size are far from infinite.

    Example:
        >>> without_overflow(0.5, torch.float32), without_overflow(1e-300, torch.float32) > 1e-20
        (0.5, True)
    """
    return max(temperature, math.sqrt(torch.finfo(dtype).tiny))


def log_temperature(temperature: float | Tensor, device: torch.device) -> float | Tensor:
    """Logarithm of a temperature; a tensor of no dimensions where compiled code has a number.

    ``math.log`` of a number would be compiled anew for each number.

    Args:
        temperature: float, or tensor.
        device: of what the result is added to.

    Example:
        >>> log_temperature(1.0, torch.device("cpu")), log_temperature(torch.ones(2), "cpu")
        (0.0, tensor([0., 0.]))
    """
    if isinstance(temperature, Tensor):
        return temperature.log()
    if torch.compiler.is_compiling():
        return torch.full((), temperature, dtype=torch.float64, device=device).log()
    return math.log(temperature)
