"""Exponential, Gumbel and logistic noise that is accurate in every dtype.

It is cast to the dtype of the logits last: bfloat16 uniforms are exactly zero in 0.2 % of draws and
give only some 500 distinct Gumbel values.

Floating-point uniforms are finely spaced near 0 and coarsely near 1, so the tail that matters,
small exponential and large Gumbel variables, is computed from uniforms near 0: ``E = -log(1 - U)``.
In float32 a Gumbel variable lies in [-2.8, 22.2], and in [-2.9, 17.4] in draws
of less than some ten thousand numbers on the CPU, where the grid is that of ``torch.rand``.
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
    """Draw standard exponential noise ``-log(1 - U)``: positive, mean 1.

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
    """Draw ``log(1 - U)``: exponential noise without the change of sign, which saves a pass.

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
    """Draw standard Gumbel noise ``-log E``, E exponential: location 0, scale 1, mean 0.5772.

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
    """Draw standard logistic noise ``log U - log(1 - U)``: the difference of two Gumbels.

    Args:
        shape, dtype, device, generator: as for :func:`uniform`.
    """
    return uniform(shape, dtype=dtype, device=device, generator=generator).logit_()
