"""Masks of choices that are not allowed: padding, invalid actions."""

from __future__ import annotations

import torch
from torch import Tensor

from relaxit.errors import ShapeError

__all__ = ["apply_mask"]


def apply_mask(owner: str, scores: Tensor, mask: Tensor | None) -> Tensor:
    """Return scores with ``-inf`` where the mask is False; the scores themselves without a mask.

    Args:
        owner: name used in error messages.
        scores: scores of any shape.
        mask: bool tensor that broadcasts to the shape of scores, True where a choice is allowed.

    Raises:
        TypeError: if the mask is not a bool tensor.
        ShapeError: if it does not broadcast to the shape of scores.

    Example:
        >>> apply_mask("softmax", torch.zeros(2, 2), torch.tensor([True, False]))
        tensor([[0., -inf],
                [0., -inf]])
    """
    if mask is None:
        return scores
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        got = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise TypeError(
            f"{owner}: mask must be a bool tensor, True where a choice is allowed, got {got}"
        )
    extra = mask.dim() - scores.dim()
    fits = extra <= 0 and all(
        size in (1, scores.shape[dim - extra]) for dim, size in enumerate(mask.shape)
    )
    if not fits:
        raise ShapeError(
            f"{owner}: a mask of shape {list(mask.shape)} does not broadcast to the shape "
            f"{list(scores.shape)} of the scores"
        )
    return scores.masked_fill(~mask, -torch.inf)
