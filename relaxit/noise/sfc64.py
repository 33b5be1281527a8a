"""Uniform numbers on the CPU, some times faster than ``torch.rand`` and on several threads.

PyTorch's generator is serial and takes some 3 ns a number. Here it gives seeds only, and the bits
come from NumPy's SFC64: a stream for each block of the result, on as many threads as PyTorch uses.
Blocks have one size, so that the numbers do not depend on how many threads there are.

Reference: Doty-Humphrey, PractRand, sfc64, as in ``numpy.random.SFC64``.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["LEAST", "fill_uniform"]

LEAST = 1 << 14
"""Numbers from which on this takes no longer; fewer are better asked of PyTorch."""

_BLOCK = 1 << 17  # numbers of a stream: long beside making it, few enough to share out
_WORDS = 3  # of 64 bits: the state of SFC64
_FORMS = {"float32": (31, np.int32), "float64": (53, np.int64)}  # bits kept, and of what


def fill_uniform(out: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Fill a tensor with uniform numbers in the open interval (0, 1).

    They are odd multiples of 2^-32 in float32, of 2^-54 in float64, rounded: much finer near 0 than
    near 1, so take the side of a law that matters from there.

    Args:
        out: float32 or float64 on the CPU, contiguous.
        generator: source of randomness; the global one if None.

    Returns:
        ``out``.

    Example:
        >>> u = fill_uniform(torch.empty(1 << 20), torch.Generator().manual_seed(0))
        >>> bool((u > 0).all() & (u < 1).all()), round(u.mean().item(), 2)
        (True, 0.5)
    """
    flat = out.numpy().reshape(-1)
    blocks = -(-flat.size // _BLOCK)
    seeds = torch.empty(blocks, _WORDS, dtype=torch.int64, device="cpu")
    words = seeds.random_(generator=generator).numpy().view(np.uint64)
    parts = [flat[i * _BLOCK : (i + 1) * _BLOCK] for i in range(blocks)]
    _fill_all(list(zip(parts, words, strict=True)), min(torch.get_num_threads(), blocks))
    if not out.is_inference():
        torch.autograd.graph.increment_version(out)  # NumPy wrote into it
    return out


def _fill_all(tasks: list[tuple[np.ndarray, np.ndarray]], threads: int) -> None:
    """Share them out. This thread takes its part: one that only waits is one too many."""

    def work() -> None:
        while True:
            try:
                block, seed = tasks.pop()
            except IndexError:
                return
            _fill(block, seed)

    others = [_pool().submit(work) for _ in range(threads - 1)]
    work()
    for other in others:
        other.result()


def _fill(block: np.ndarray, seed: np.ndarray) -> None:
    words: Any = _Seed(seed)  # NumPy's types know none but its own
    _scale(block, np.random.SFC64(words).random_raw(-(-block.nbytes // 8)))


def _scale(block: np.ndarray, words: np.ndarray) -> None:
    """Numbers in (0, 1) from the lower bits of random words; a sign bit is not used."""
    bits, integers = _FORMS[block.dtype.name]
    cell = 2.0**-bits
    drawn = words.view(integers)
    drawn &= (1 << bits) - 1
    block[...] = drawn[: block.size]
    block *= cell * (1 - np.finfo(block.dtype).eps)  # or the largest would round to 1
    block += cell / 2


class _Seed:
    """Hands its words on as they are: they are random already, and NumPy would hash them."""

    def __init__(self, words: np.ndarray) -> None:
        self.words = words

    def generate_state(self, n_words: int, dtype: object = np.uint64) -> np.ndarray:
        """The words."""
        del n_words, dtype
        return self.words


np.random.bit_generator.ISeedSequence.register(_Seed)

_threads: ThreadPoolExecutor | None = None


def _pool() -> ThreadPoolExecutor:
    global _threads
    if _threads is None:
        _threads = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="relaxit-bits")
    return _threads


def _forget_threads() -> None:
    global _threads
    _threads = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)  # a child has none of them
