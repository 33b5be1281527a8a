"""Uniform noise in the open interval (0, 1), from a generator or an object that stands for one.

Noise is drawn in float32 (float64 for float64 parameters) whatever the dtype of the logits.
No eps is added anywhere: a uniform of exactly 0 represents a whole cell of the generator's grid and
is replaced by the middle of the cell.

Code that draws through :func:`uniform` also runs under ``torch.func.vmap`` with one generator per
row, see :class:`Streams`, and in compiled code with a generator, see :class:`Handle`.
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
from relaxit.aliases import Generator
from relaxit.noise.log1p import warm_up_log1p
from relaxit.noise.sfc64 import LEAST, fill_uniform

__all__ = ["Handle", "Source", "Streams", "uniform"]


class _Draw(torch.autograd.Function):
    """Draws ``[*index, *shape]``, a row of shape ``shape`` for each entry of the index."""

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
        # Called once per level of vmap that the index is batched at; each adds a dimension to it.
        return _Draw.apply(index.movedim(in_dims[0], 0), *rest), 0


@dataclass(frozen=True)
class Streams:
    """One generator per row under ``torch.func.vmap``, where a generator cannot be used.

    Pass it as ``generator=`` to code that draws through :func:`uniform`: each row gets the numbers
    that it would draw from its own generator if it ran alone. Code that draws in another way raises
    a TypeError.

    Args:
        generators: one generator per row.
        index: index of the generator of a row: int64 on the CPU, 0-dim inside ``vmap``.

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
        """Draw uniform numbers in (0, 1), from each row's own generator."""
        drawn: Tensor = _Draw.apply(self.index, self.generators, shape, dtype, device)
        return drawn


_generators: dict[int, torch.Generator] = {}
_numbers = itertools.count(1)  # 0 is torch's global generator


def _none_yet() -> Tensor:
    with torch.inference_mode(False):  # otherwise only inference mode could increment it
        return torch.zeros((), dtype=torch.int64, device="cpu")


_global_draws = _none_yet()


@dataclass(frozen=True, eq=False)
class Handle:
    """A generator for code under ``torch.compile``, which does not accept one.

    Pass it as ``generator=`` to code that draws through :func:`uniform`, compiled or not. Code
    compiled with a handle must not be called after the handle is gone.

    Attributes:
        number: number of the generator, assigned by :meth:`of`.
        draws: number of draws so far. Each draw changes it, which tells compiled code that their
            order matters.

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
        """Return a new handle of a generator; several handles of one are equivalent."""
        handle = cls(next(_numbers), _none_yet())
        _generators[handle.number] = generator
        # Not a weak reference to the generator, which some versions of torch do not support.
        weakref.finalize(handle, _generators.pop, handle.number, None)
        return handle

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy is a new handle: of a copy of the generator if the copy is deep or pickled."""
        return Handle.of, (_generators[self.number],)


Source = torch.Generator | Streams | Handle | None
"""Source of noise; None is torch's global generator."""


def uniform(
    shape: Sequence[int],
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
    generator: Source = None,
) -> Tensor:
    """Draw uniform numbers in the open interval (0, 1).

    Args:
        shape: shape of the result.
        dtype: float32 or float64.
        device: device on which to draw.
        generator: source of randomness; the global one if None.

    Raises:
        Unsupported: if there is a generator while a program is exported, or in a backward pass, see
            :func:`relaxit.tracing.check_source`.
    """
    if generator is not None:
        tracing.check_source(generator)
    if isinstance(generator, Streams):
        return generator.uniform(torch.Size(shape), dtype, device)
    if isinstance(generator, Handle):
        actual = torch.empty(0, device=device).device
        return _drawn(generator.draws, list(shape), dtype, actual, generator.number)
    # Compiled code on a GPU draws inside its own kernels; on the CPU that is slow.
    if generator is None and tracing.calls_operators() and not tracing.transforms_active():
        actual = torch.empty(0, device=device).device
        if actual.type == "cpu":
            return _drawn(_global_draws, list(shape), dtype, actual, 0)
    return _uniform(shape, dtype, device, generator)


def _uniform(
    shape: Sequence[int],
    dtype: torch.dtype,
    device: torch.device | str | None,
    generator: Generator,
) -> Tensor:
    """Draw with the implementation that suits size, dtype and device."""
    warm_up_log1p()
    size = math.prod(shape)  # not a plain number while a trace is recorded
    large = not torch.compiler.is_compiling() and type(size) is int and size >= LEAST
    if large and dtype in (torch.float32, torch.float64) and not tracing.observed():
        noise = torch.empty(shape, dtype=dtype, device=device)
        if noise.device.type == "cpu":
            return fill_uniform(noise, generator)
        return noise.uniform_(generator=generator).clamp_min_(_least(dtype))
    # A compiler does not support dynamic sizes together with the argument, even if it is None.
    source: dict[str, Any] = {} if generator is None else {"generator": generator}
    noise = torch.rand(shape, dtype=dtype, device=device, **source)
    return noise.clamp_min_(_least(dtype))


def _least(dtype: torch.dtype) -> float:
    """Return the middle of the first cell of PyTorch's grid."""
    return 2.0**-54 if dtype == torch.float64 else 2.0**-25


# Compiled code keeps the order of writes into one tensor, so that each draw keeps its numbers.
@torch.library.custom_op(
    "relaxit::uniform", mutates_args=("draws",), tags=(torch.Tag.nondeterministic_seeded,)
)
def _drawn(
    draws: Tensor, shape: Sequence[int], dtype: torch.dtype, device: torch.device, generator: int
) -> Tensor:
    draws.add_(1)
    source = _generators[generator] if generator else None
    tracing.check_source(source)  # the compiled code may be called again by a checkpoint
    return _uniform(shape, dtype, device, source)


@_drawn.register_fake
def _(
    draws: Tensor, shape: Sequence[int], dtype: torch.dtype, device: torch.device, generator: int
) -> Tensor:
    return torch.empty(shape, dtype=dtype, device=device)
