"""Division by a temperature that leaves enough digits to the sums over trees."""

from __future__ import annotations

import torch
from torch import Tensor

from relaxit.temperature import divide_by_temperature, representable

__all__ = ["divided"]

_RANGE = 2.0**27
"""Largest range of scores / temperature: rounded scores then still differ by 1e-8 of a nat."""


def divided(scores: Tensor, temperature: float | Tensor, span: Tensor) -> Tensor:
    """Return scores over the temperature, which acts as ``span / 2^27`` if it is lower.

    Args:
        scores: scores ``[*batch, n, n]``, shifted so that they are not large.
        temperature: as that of :meth:`relaxit.PerturbAndRelax.relax`.
        span: range of the finite scores, ``[*batch, 1, 1]``.

    Example:
        >>> divided(torch.tensor([[-1.0, 0.0]]), 1e-30, torch.ones(1, 1))
        tensor([[-1.3422e+08,  0.0000e+00]])
    """
    least = span / _RANGE
    if isinstance(temperature, Tensor):
        temperature = torch.maximum(temperature.to(scores.dtype), least)
    else:
        temperature = least.clamp_min(representable(temperature, scores.dtype))
    return divide_by_temperature(scores, temperature)
