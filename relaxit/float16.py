"""Gradients of float16 soft samples that do not fit into float16.

A density has a slope of about ``(temperature + 1) / y`` at an entry y, and float16 ends at 65504:
an entry of 1e-5 can be stored but its slope cannot, and infinity times the small derivative of the
entry is NaN, although the product of the two is a number of ordinary size. So a float16 sample
keeps the float32 sample that it was rounded from, and a density is differentiated through that.
"""

from __future__ import annotations

import torch
from torch import Tensor

from relaxit.tracing import version

__all__ = ["keep_float32", "restore_float32"]

_NAME = "_relaxit_float32"


def keep_float32(stored: Tensor, soft: Tensor) -> Tensor:
    """Attach to a float16 sample the float32 sample that it was rounded from.

    Args:
        stored: the sample that users get; it is returned.
        soft: the same sample in at least float32, with its gradient.
    """
    if stored.dtype == torch.float16 and soft.requires_grad:
        setattr(stored, _NAME, (soft, version(stored)))
    return stored


def restore_float32(value: Tensor) -> Tensor:
    """Return a float16 sample in float32, with its gradient, to evaluate a density at.

    The numbers are the stored ones. Anything but an unmodified sample is returned as it is: the
    slope at any other float16 value is infinite where it does not fit.

    Example:
        >>> restore_float32(torch.ones(2))  # nothing to be recalled
        tensor([1., 1.])
    """
    if value.dtype != torch.float16 or not value.requires_grad:
        return value
    soft, written = getattr(value, _NAME, (None, 0))
    if soft is None or written != version(value):  # not a sample, or written into since
        return value
    return soft + (value.detach().to(soft.dtype) - soft.detach())
