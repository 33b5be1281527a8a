"""Scores divided by the temperature for Sinkhorn's operator, at both ends of the range."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from relaxit import tracing
from relaxit.autograd import Levels, in_all_modes
from relaxit.temperature import divide_by_temperature
from relaxit_permutation.sinkhorn.reduced import shifts

__all__ = ["quotient", "roomy"]

COLD, HOT = 1e-8, 1e30
"""Temperatures below and above which a plain division is not enough."""
_ENDS = 1e290
"""Temperatures are clamped to the range from its inverse to this value."""
_UNIT = 2.0**-64
"""Factor of values at the upper end of float64."""


def quotient(scores: Tensor, temperature: float | Tensor) -> Tensor:
    """Return ``scores / temperature``, up to constants added to rows and columns.

    At very low temperatures, and on the CPU wherever a quotient overflows, the reduced scores are
    divided instead: see :mod:`relaxit_permutation.sinkhorn.reduced`.

    Args:
        scores: scores ``[..., m, n]``, float32 or float64.
        temperature: as for :func:`~relaxit_permutation.sinkhorn.operator.sinkhorn`.

    Returns:
        ``[..., m, n]``; if m < n, with an extra row, which represents n - m equal rows of scores
        0 that take the remaining columns.
    """
    x = _with_rest(divide_by_temperature(scores, temperature))
    if not (_extreme(temperature) or _overflown(scores, x)):
        return x
    wide, temperature = _widened(scores), _kept(temperature)
    if isinstance(temperature, Tensor) and any(size > 1 for size in temperature.shape[-2:]):
        wide, temperature = divide_by_temperature(wide, temperature), 1.0
    wide = _with_rest(wide)
    if isinstance(temperature, Tensor) or temperature < HOT:
        copies = max(1, scores.shape[-1] - scores.shape[-2])
        cold = torch.as_tensor(temperature, dtype=wide.dtype, device=wide.device).detach()
        wide = wide + shifts(wide.detach(), cold, copies)
    return divide_by_temperature(wide, temperature).to(x.dtype)


def _with_rest(scores: Tensor) -> Tensor:
    m, n = scores.shape[-2:]
    return scores if m == n else torch.cat([scores, torch.zeros_like(scores[..., :1, :])], -2)


def _kept(temperature: float | Tensor) -> float | Tensor:
    """Return the temperature in float64, clamped so that quotients have finite gradients."""
    if isinstance(temperature, Tensor):
        return _widened(temperature).clamp(1 / _ENDS, _ENDS)
    return min(max(temperature, 1 / _ENDS), _ENDS)


def _extreme(temperature: float | Tensor) -> bool:
    """Whether a temperature is at an end of the range; False if checking needs synchronisation.

    Example:
        >>> _extreme(1e-3), _extreme(1e-30), _extreme(torch.tensor(1e35))
        (False, True, True)
    """
    if not isinstance(temperature, Tensor):
        return not COLD <= temperature <= HOT
    if not _open(temperature):
        return False
    t = temperature.detach()
    return bool(((t < COLD) | (t > HOT)).any())


def roomy(values: Tensor, temperature: float | Tensor) -> tuple[Tensor, float | Tensor]:
    """Return values and temperature in a range where the relaxations do not overflow.

    Differences of the values, their products with n and their quotients by the temperature do not
    overflow. Values and temperature change only at the ends of the range; there they become
    float64, in another unit if necessary. The relaxation depends on their quotients only.

    Args:
        values: finite values ``[..., n]``, float32 or float64.
        temperature: positive float, or tensor ``[..., 1]``.
    """
    most = float(values.detach().abs().amax()) if _open(values) and values.numel() else 0.0
    if not (most > HOT or _extreme(temperature)):
        return values, temperature
    unit = _UNIT if most > _ENDS else 1.0
    return _widened(values) * unit, _kept(temperature * unit)


def _overflown(scores: Tensor, x: Tensor) -> bool:
    """Whether a finite score has an infinite quotient; False if checking needs synchronisation."""
    if not _open(x) or math.isfinite(float(x.detach().sum())):
        return False
    return bool((x.isinf()[..., : scores.shape[-2], :] & scores.isfinite()).any())


def _open(tensor: Tensor) -> bool:
    """Whether the numbers of a tensor can be read without synchronisation."""
    return tracing.can_read_values(tensor) and not tracing.observed()


def _widened(tensor: Tensor) -> Tensor:
    """Return a tensor in float64; gradients too large for its dtype come back as large numbers.

    Example:
        >>> x = torch.ones(1, requires_grad=True)
        >>> (_widened(x) * 1e300).sum().backward()
        >>> x.grad
        tensor([3.3231e+35])
    """
    wide: Tensor = in_all_modes(_Widened, _WidenedBothModes, Tensor.double, tensor)
    return wide


class _Widened(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(tensor: Tensor, levels: Levels | None) -> Tensor:
        return tensor.to(torch.float64, copy=True)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Levels | None], output: Tensor) -> None:
        ctx.dtype, ctx.levels = inputs[0].dtype, inputs[1]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        most = torch.finfo(ctx.dtype).max / 1024  # leaves room to add several
        return grad.clamp(-most, most).to(ctx.dtype), None


class _WidenedBothModes(_Widened):
    """The cast with derivatives in both modes, which compilers do not trace."""

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: None) -> Tensor:
        ctx.levels.number += 1
        return tangent.to(torch.float64, copy=True)
