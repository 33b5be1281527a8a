"""Uniform noise in the open interval (0, 1), from whatever stands for a generator.

Noise is drawn in float32 (float64 for float64 parameters) whatever the dtype of the logits.
No eps is added anywhere: a uniform of exactly 0 stands for its whole cell of the generator's grid
and is replaced by the middle of it.

Whatever draws through :func:`uniform` also runs under ``torch.func.vmap`` with a generator of its
own for each row, see :class:`Streams`, and in compiled code with one, see :class:`Handle`.
"""

from __future__ import annotations

import itertools
import math
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from relaxit import tracing
from relaxit.noise.log1p import warm_up_log1p
from relaxit.noise.sfc64 import LEAST, fill_uniform

__all__ = ["Handle", "Source", "Streams", "uniform"]


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
            row.copy_(_uniform(shape, dtype, device, generators[number]))
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
        >>> torch.equal(both[1], uniform((3,), generator=torch.Generator().manual_seed(1)))
        True
    """

    generators: Sequence[torch.Generator]
    index: Tensor

    def uniform(
        self, shape: torch.Size, dtype: torch.dtype, device: torch.device | str | None
    ) -> Tensor:
        """Uniform numbers in (0, 1), of each row's own generator."""
        drawn: Tensor = _Draw.apply(self.index, self.generators, shape, dtype, device)
        return drawn


_generators: dict[int, torch.Generator] = {}
_numbers = itertools.count(1)  # 0 is torch's global generator


def _none_yet() -> Tensor:
    with torch.inference_mode(False):  # or only inference mode could count on
        return torch.zeros((), dtype=torch.int64, device="cpu")


_global_draws = _none_yet()


@dataclass(frozen=True, eq=False)
class Handle:
    """Stands for a generator in code that ``torch.compile`` sees, which takes none.

    Handed on as ``generator=`` to whatever draws through :func:`uniform`, compiled or not. What
    was compiled with it must not be called when it is gone.

    Attributes:
        number: of the generator; :meth:`of` gives it one.
        draws: how many draws it stands for were made; each changes it, which is how compiled code
            knows that their order matters.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> a = uniform((3,), generator=Handle.of(generator))
        >>> torch.equal(a, uniform((3,), generator=generator.manual_seed(0)))
        True
    """

    number: int
    draws: Tensor

    @classmethod
    def of(cls, generator: torch.Generator) -> Handle:
        """The handle of a generator; each call makes another, and all are as good."""
        handle = cls(next(_numbers), _none_yet())
        _generators[handle.number] = generator
        # Not a weak reference to the generator, of which there are none in some versions of torch.
        weakref.finalize(handle, _generators.pop, handle.number, None)
        return handle


Source = torch.Generator | Streams | Handle | None
"""Where noise comes from; None is torch's global generator."""


def uniform(
    shape: Sequence[int],
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
    if isinstance(generator, Streams):
        return generator.uniform(torch.Size(shape), dtype, device)
    compiling = torch.compiler.is_compiling()
    if isinstance(generator, Handle):
        where = torch.empty(0, device=device).device
        return _drawn(generator.draws, list(shape), dtype, where, generator.number)
    # Compiled code on a GPU draws inside its own kernels; on the CPU that is slow.
    if compiling and generator is None and not tracing.transforms_active():
        where = torch.empty(0, device=device).device
        if where.type == "cpu":
            return _drawn(_global_draws, list(shape), dtype, where, 0)
    return _uniform(shape, dtype, device, generator)


def _uniform(
    shape: Sequence[int],
    dtype: torch.dtype,
    device: torch.device | str | None,
    generator: torch.Generator | None,
) -> Tensor:
    """The one place where it is decided who draws."""
    warm_up_log1p()
    large = not torch.compiler.is_compiling() and math.prod(shape) >= LEAST
    if large and dtype in (torch.float32, torch.float64) and not tracing.observed():
        noise = torch.empty(shape, dtype=dtype, device=device)
        if noise.device.type == "cpu":
            return fill_uniform(noise, generator)
        return noise.uniform_(generator=generator).clamp_min_(_least(dtype))
    # A compiler knows no sizes that vary together with the argument, even if it is None.
    source: dict[str, Any] = {} if generator is None else {"generator": generator}
    noise = torch.rand(shape, dtype=dtype, device=device, **source)
    return noise.clamp_min_(_least(dtype))


def _least(dtype: torch.dtype) -> float:
    """The middle of the first cell of PyTorch's grid."""
    return 2.0**-54 if dtype == torch.float64 else 2.0**-25


# Compiled code keeps the order of what writes into one tensor, and so each draw its numbers.
@torch.library.custom_op(
    "relaxit::uniform", mutates_args=("draws",), tags=(torch.Tag.nondeterministic_seeded,)
)
def _drawn(
    draws: Tensor, shape: Sequence[int], dtype: torch.dtype, device: torch.device, generator: int
) -> Tensor:
    draws.add_(1)
    return _uniform(shape, dtype, device, _generators[generator] if generator else None)


@_drawn.register_fake
def _(
    draws: Tensor, shape: Sequence[int], dtype: torch.dtype, device: torch.device, generator: int
) -> Tensor:
    return torch.empty(shape, dtype=dtype, device=device)
