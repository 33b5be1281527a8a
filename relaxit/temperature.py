"""Division of scores by a temperature, safe for masked scores."""

from __future__ import annotations

import math
import numbers

import torch
from torch import Tensor

from relaxit import tracing
from relaxit.errors import DomainError, ShapeError

__all__ = [
    "align_temperature",
    "check_temperature_value",
    "divide_by_temperature",
    "log_temperature",
    "may_need_gradient",
    "representable",
    "without_overflow",
]


def may_need_gradient(temperature: float | Tensor) -> bool:
    """Whether a gradient with respect to the temperature may be requested, in either mode.

    Under the transforms of ``torch.func`` a tensor does not tell, so the answer is True.

    Example:
        >>> may_need_gradient(0.5), may_need_gradient(torch.ones(2).requires_grad_())
        (False, True)
    """
    if not isinstance(temperature, Tensor):
        return False
    if torch.compiler.is_compiling():
        return temperature.requires_grad
    forward = tracing.transforms_active() or tracing.followed(temperature)
    return temperature.requires_grad or forward


def divide_by_temperature(scores: Tensor, temperature: float | Tensor) -> Tensor:
    """Compute ``scores / temperature``, with a finite gradient for a learned temperature.

    An infinite score stays infinite at every temperature, but the derivative of the quotient with
    respect to the temperature is infinite there, and its product with an incoming gradient of zero
    is NaN. So infinite scores are left out of the division if a gradient may be requested.

    A quotient may be infinite at low temperatures: where scores are compared, subtract the largest
    one first.

    Args:
        scores: tensor of any shape; ``-inf`` and ``+inf`` are allowed.
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
    """Clamp a temperature to the smallest normal and the largest number of a dtype.

    As a Python float it may be smaller than any number of the dtype, and dividing by it would be
    dividing by zero. Where it is clamped, soft values have long been vertices or uniform.

    Example:
        >>> representable(1e-300, torch.float32) == torch.finfo(torch.float32).tiny
        True
    """
    info = torch.finfo(dtype)
    return min(max(temperature, info.tiny), info.max)


def without_overflow(temperature: float, dtype: torch.dtype) -> float:
    """Raise a temperature so far that perturbed scores divided by it do not overflow.

    Noise is of size one, so at the square root of the smallest normal number soft values have long
    been vertices, while quotients of scores of any reasonable size are far from infinite.

    Example:
        >>> without_overflow(0.5, torch.float32), without_overflow(1e-300, torch.float32) > 1e-20
        (0.5, True)
    """
    return max(temperature, math.sqrt(torch.finfo(dtype).tiny))


def log_temperature(temperature: float | Tensor, device: torch.device) -> float | Tensor:
    """Compute the logarithm of a temperature; for a float in compiled code as a 0-dim tensor.

    ``math.log`` of a float would be compiled again for each value.

    Args:
        temperature: float, or tensor.
        device: device of the tensor that the result is added to.

    Example:
        >>> log_temperature(1.0, torch.device("cpu")), log_temperature(torch.ones(2), "cpu")
        (0.0, tensor([0., 0.]))
    """
    if isinstance(temperature, Tensor):
        return temperature.log()
    if torch.compiler.is_compiling():
        return torch.full((), temperature, dtype=torch.float64, device=device).log()
    return math.log(temperature)


def check_temperature_value(temperature: float, owner: str = "") -> None:
    """Reject a temperature, not a tensor, that is not a finite positive number.

    Args:
        temperature: a real number; those of NumPy are accepted.
        owner: name used in error messages.

    Raises:
        TypeError: if it is not a real number.
        DomainError: for 0, a negative number, NaN or infinity.

    Example:
        >>> check_temperature_value("low", "my_function")
        Traceback (most recent call last):
        TypeError: my_function: temperature must be a number or tensor, got 'low'
    """
    prefix = f"{owner}: " if owner else ""
    plain = isinstance(temperature, int | float | numbers.Real)
    if not plain or isinstance(temperature, bool):
        raise TypeError(f"{prefix}temperature must be a number or tensor, got {temperature!r}")
    if not 0 < temperature < math.inf:  # a comparison, which compilers trace for any number
        raise DomainError(f"{prefix}temperature must be finite and > 0, got {temperature}")


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
