"""Matrices over a temperature that was aligned with vectors."""

from __future__ import annotations

from torch import Tensor

__all__ = ["divide"]


def divide(matrix: Tensor, temperature: float | Tensor) -> Tensor:
    """``matrix / temperature``, for matrices ``[..., m, n]`` and a float or tensor ``[..., 1]``.

    Differences of scores are divided, never the scores: at a low temperature the rounding errors of
    large scores would show.

    Example:
        >>> import torch
        >>> divide(torch.ones(2, 1, 3), torch.tensor([[1.0], [2.0]]))[:, 0, 0]
        tensor([1.0000, 0.5000])
    """
    rows = temperature.unsqueeze(-1) if isinstance(temperature, Tensor) else temperature
    return matrix / rows
