"""Division of matrices by a temperature that is aligned with vectors."""

from __future__ import annotations

from torch import Tensor

from relaxit.temperature import divide_by_temperature, may_need_gradient

__all__ = ["divide"]

_LOST = 1e4
"""Distance to the greatest entry of a row, in temperatures, at which an entry is negligible."""


def divide(matrix: Tensor, temperature: float | Tensor) -> Tensor:
    """Return ``matrix / temperature`` for matrices ``[..., m, n]``.

    The matrix holds differences of scores. Scores themselves are never divided, because at a low
    temperature this would magnify the rounding errors of large scores.

    Args:
        matrix: arguments ``[..., m, n]`` of a softmax, with 0 as the greatest entry of each row.
        temperature: positive float, or tensor ``[..., 1]``.

    Example:
        >>> import torch
        >>> divide(-torch.ones(2, 1, 3), torch.tensor([[1.0], [2.0]]))[:, 0, 0]
        tensor([-1.0000, -0.5000])
    """
    rows = temperature.unsqueeze(-1) if isinstance(temperature, Tensor) else temperature
    if isinstance(rows, Tensor) and may_need_gradient(rows):
        # There the derivative is 0 times a quotient that may have overflowed.
        lost = matrix.detach() < -_LOST * rows.detach()
        matrix = matrix.masked_fill(lost, -float("inf"))
    return divide_by_temperature(matrix, rows)
