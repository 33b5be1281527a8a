"""Gradients of float16 soft samples that do not fit into float16.

A density has a slope of about ``(temperature + 1) / y`` at an entry y, and float16 ends at 65504:
an entry of 1e-5 is stored, its slope is not, and infinity times the small derivative of the entry
is NaN. The product of the two is a number of ordinary size. So a float16 sample remembers the
float32 one that it was rounded from, and a density is differentiated through that.
"""

from __future__ import annotations

import torch
from torch import Tensor

from relaxit.tracing import version

__all__ = ["keep_float32", "restore_float32"]

_NAME = "_relaxit_float32"


def keep_float32(stored: Tensor, soft: Tensor) -> Tensor:
    """Let a float16 sample know the float32 one that it is the rounded form of.

    Args:
        stored: the sample as users get it; returned.
        soft: the same in at least float32, with its gradient.
    """
    if stored.dtype == torch.float16 and soft.requires_grad:
        setattr(stored, _NAME, (soft, version(stored)))
    return stored


def restore_float32(value: Tensor) -> Tensor:
    """A value to take a density at: a float16 sample in float32, with the gradient of that one.

    Its numbers are those that are stored. Anything but a sample as it was drawn is returned as it
    is: the slope at another float16 value is infinite where it does not fit.

    Example:
        >>> restore_float32(torch.ones(2))  # nothing to be recalled
        tensor([1., 1.])
    """
    if value.dtype != torch.float16 or not value.requires_grad:
        return value
    soft, written = getattr(value, _NAME, (None, 0))
    if soft is None or written != version(value):  # none, or another value in its place since
        return value
    return soft + (value.detach().to(soft.dtype) - soft.detach())
