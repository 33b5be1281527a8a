"""Gumbel and logistic noise that is right in every dtype.

The noise is drawn in float32 (float64 for float64 parameters) whatever the dtype of the logits,
and cast last: bfloat16 uniforms are exactly zero in 0.2 % of draws and know only some 500 distinct
Gumbel values. No eps is added anywhere. A uniform of exactly 0 stands for its whole cell
[0, step) of the generator's grid and is replaced by the middle of that cell.

Range: a float32 uniform is at most ``1 - 2**-24``, so a float32 Gumbel lies in [-2.86, 16.64] and
the upper tail of mass 6e-8 is cut. With tens of thousands of categories ask for float64.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["compute_dtype", "gumbel", "logistic", "uniform"]


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype in which samples and densities are worked out: at least float32.

    Example:
        >>> compute_dtype(torch.bfloat16), compute_dtype(torch.float64)
        (torch.float32, torch.float64)
    """
    return torch.float64 if dtype == torch.float64 else torch.float32


def uniform(
    shape: torch.Size,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Uniform numbers in the open interval (0, 1).

    Args:
        shape: shape of the result.
        dtype: float32 or float64.
        device: where to draw.
        generator: source of randomness; the global one if None.
    """
    step = 2.0**-53 if dtype == torch.float64 else 2.0**-24
    # A compiler knows no sizes that vary together with the argument, even if it is None.
    source: dict[str, Any] = {} if generator is None else {"generator": generator}
    noise = torch.rand(shape, dtype=dtype, device=device, **source)
    return noise.clamp_min_(step / 2)


def gumbel(
    shape: torch.Size,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Standard Gumbel noise ``-log(-log U)``: location 0, scale 1, mean 0.5772.

    Args:
        shape, dtype, device, generator: as for :func:`uniform`.

    Example:
        >>> g = gumbel(torch.Size([4]), generator=torch.Generator().manual_seed(0))
        >>> g.shape, bool(g.isfinite().all())
        (torch.Size([4]), True)
    """
    noise = uniform(shape, dtype=dtype, device=device, generator=generator)
    return noise.log_().neg_().log_().neg_()


def logistic(
    shape: torch.Size,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Standard logistic noise ``log U - log(1 - U)``: the difference of two Gumbels.

    Args:
        shape, dtype, device, generator: as for :func:`uniform`.
    """
    return uniform(shape, dtype=dtype, device=device, generator=generator).logit_()
