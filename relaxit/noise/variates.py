"""Exponential, Gumbel and logistic noise that is right in every dtype.

It is cast to the dtype of the logits last: bfloat16 uniforms are exactly zero in 0.2 % of draws and
know only some 500 distinct Gumbel values.

Floating-point uniforms are fine near 0 and coarse near 1, so the end of a law that decides, small
exponential and large Gumbel variables, is taken from there: ``E = -log(1 - U)``. Range in float32:
a Gumbel lies in [-2.8, 22.2], and in [-2.9, 17.4] in draws of less than some ten thousand numbers
on the CPU, where the grid is that of ``torch.rand``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from relaxit.noise.uniforms import Source, uniform

__all__ = ["exponential", "gumbel", "logistic", "minus_exponential"]


def exponential(
    shape: Sequence[int],
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
    generator: Source = None,
) -> Tensor:
    """Standard exponential noise ``-log(1 - U)``: positive, mean 1.

    Args:
        shape, dtype, device, generator: as for :func:`uniform`.
    """
    return minus_exponential(shape, dtype=dtype, device=device, generator=generator).neg_()


def minus_exponential(
    shape: Sequence[int],
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
    generator: Source = None,
) -> Tensor:
    """``log(1 - U)``: exponential noise before its sign is changed, a pass over memory less.

    Args:
        shape, dtype, device, generator: as for :func:`uniform`.
    """
    return uniform(shape, dtype=dtype, device=device, generator=generator).neg_().log1p_()


def gumbel(
    shape: Sequence[int],
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
    generator: Source = None,
) -> Tensor:
    """Standard Gumbel noise ``-log E``, E exponential: location 0, scale 1, mean 0.5772.

    Args:
        shape, dtype, device, generator: as for :func:`uniform`.

    Example:
        >>> g = gumbel(torch.Size([4]), generator=torch.Generator().manual_seed(0))
        >>> g.shape, bool(g.isfinite().all())
        (torch.Size([4]), True)
    """
    noise = exponential(shape, dtype=dtype, device=device, generator=generator)
    return noise.log_().neg_()


def logistic(
    shape: Sequence[int],
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
    generator: Source = None,
) -> Tensor:
    """Standard logistic noise ``log U - log(1 - U)``: the difference of two Gumbels.

    Args:
        shape, dtype, device, generator: as for :func:`uniform`.
    """
    return uniform(shape, dtype=dtype, device=device, generator=generator).logit_()
