"""Gumbel and logistic noise that is right in every dtype.

The noise is drawn in float32 (float64 for float64 parameters) whatever the dtype of the logits,
and cast last: bfloat16 uniforms are exactly zero in 0.2 % of draws and know only some 500 distinct
Gumbel values. No eps is added anywhere. A uniform of exactly 0 stands for its whole cell
[0, step) of the generator's grid and is replaced by the middle of that cell.

Range: a float32 uniform is at most ``1 - 2**-24``, so a float32 Gumbel lies in [-2.86, 16.64] and
the upper tail of mass 6e-8 is cut. With tens of thousands of categories ask for float64.

Whatever draws through :func:`uniform` also runs under ``torch.func.vmap`` with a generator of its
own for each row, see :class:`Streams`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["Source", "Streams", "compute_dtype", "gumbel", "logistic", "uniform"]


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype in which samples and densities are worked out: at least float32.

    Example:
        >>> compute_dtype(torch.bfloat16), compute_dtype(torch.float64)
        (torch.float32, torch.float64)
    """
    return torch.float64 if dtype == torch.float64 else torch.float32


class _Draw(torch.autograd.Function):
    """``[*index, *shape]``: a row of shape ``shape`` for each entry of the index."""

    @staticmethod
    def forward(
        index: Tensor,
        generators: Sequence[torch.Generator],
        shape: torch.Size,
        dtype: torch.dtype,
        device: torch.device | str | None,
    ) -> Tensor:
        drawn = torch.empty(*index.shape, *shape, dtype=dtype, device=device)
        rows = drawn.view(index.numel(), *shape)
        for row, number in zip(rows, index.flatten().tolist(), strict=True):
            row.uniform_(generator=generators[number])
        return drawn

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, ...]:
        return (None,) * 5

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int, ...], index: Tensor, *rest: Any) -> tuple[Tensor, int]:
        # Once for each level of vmap that the index is batched at; each adds a dimension to it.
        return _Draw.apply(index.movedim(in_dims[0], 0), *rest), 0


@dataclass(frozen=True)
class Streams:
    """Stands for one generator a row under ``torch.func.vmap``, where no generator can go.

    Handed on as ``generator=`` to whatever draws through :func:`uniform`, each row gets the numbers
    that it would draw from its own generator if it ran alone. What draws by itself refuses it with
    a TypeError.

    Args:
        generators: one a row.
        index: which generator a row draws from: int64 on the CPU, 0-dim inside ``vmap``.

    Example:
        >>> own = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
        >>> def row(index):
        ...     return uniform(torch.Size([3]), generator=Streams(own, index))
        >>> both = torch.func.vmap(row)(torch.arange(2))
        >>> torch.equal(both[1], torch.rand(3, generator=torch.Generator().manual_seed(1)))
        True
    """

    generators: Sequence[torch.Generator]
    index: Tensor

    def rand(
        self, shape: torch.Size, dtype: torch.dtype, device: torch.device | str | None
    ) -> Tensor:
        """As ``torch.rand``: uniform numbers in [0, 1)."""
        drawn: Tensor = _Draw.apply(self.index, self.generators, shape, dtype, device)
        return drawn


Source = torch.Generator | Streams | None
"""Where noise comes from; None is torch's global generator."""


def uniform(
    shape: torch.Size,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
    generator: Source = None,
) -> Tensor:
    """Uniform numbers in the open interval (0, 1).

    Args:
        shape: shape of the result.
        dtype: float32 or float64.
        device: where to draw.
        generator: source of randomness; the global one if None.
    """
    step = 2.0**-53 if dtype == torch.float64 else 2.0**-24
    if isinstance(generator, Streams):
        return generator.rand(shape, dtype, device).clamp_min_(step / 2)
    # A compiler knows no sizes that vary together with the argument, even if it is None.
    source: dict[str, Any] = {} if generator is None else {"generator": generator}
    noise = torch.rand(shape, dtype=dtype, device=device, **source)
    return noise.clamp_min_(step / 2)


def gumbel(
    shape: torch.Size,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
    generator: Source = None,
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
    generator: Source = None,
) -> Tensor:
    """Standard logistic noise ``log U - log(1 - U)``: the difference of two Gumbels.

    Args:
        shape, dtype, device, generator: as for :func:`uniform`.
    """
    return uniform(shape, dtype=dtype, device=device, generator=generator).logit_()
