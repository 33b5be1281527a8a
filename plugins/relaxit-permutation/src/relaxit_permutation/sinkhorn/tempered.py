"""Matrices over a temperature that was aligned with vectors."""

from __future__ import annotations

from torch import Tensor

from relaxit.temperature import divide_by_temperature, may_need_gradient

__all__ = ["divide"]

_LOST = 1e4
"""Temperatures below the greatest entry of a row, at which an entry counts nothing."""


def divide(matrix: Tensor, temperature: float | Tensor) -> Tensor:
    """``matrix / temperature``, for matrices ``[..., m, n]`` and a float or tensor ``[..., 1]``.

    Differences of scores are divided, never the scores: at a low temperature the rounding errors of
    large scores would show.

    Args:
        matrix: of which a softmax is to be taken, the greatest entry of each row 0.
        temperature: positive.

    Example:
        >>> import torch
        >>> divide(-torch.ones(2, 1, 3), torch.tensor([[1.0], [2.0]]))[:, 0, 0]
        tensor([-1.0000, -0.5000])
    """
    rows = temperature.unsqueeze(-1) if isinstance(temperature, Tensor) else temperature
    if isinstance(rows, Tensor) and may_need_gradient(rows):
        # Its derivative there is nothing times a quotient that may have overflowed.
        lost = matrix.detach() < -_LOST * rows.detach()
        matrix = matrix.masked_fill(lost, -float("inf"))
    return divide_by_temperature(matrix, rows)
