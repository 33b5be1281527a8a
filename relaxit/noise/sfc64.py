"""Uniform numbers on the CPU, several times faster than ``torch.rand`` and on several threads.

PyTorch's generator is serial and takes about 3 ns per number. Here it only provides seeds, and the
bits come from NumPy's SFC64: one stream for each block of the result, on as many threads as PyTorch
uses. The block size is fixed, so that the numbers do not depend on the number of threads.

Reference: Doty-Humphrey, PractRand, sfc64, as in ``numpy.random.SFC64``.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relaxit.aliases import Generator

__all__ = ["BLOCK", "LEAST", "fill_block", "fill_uniform", "thread_pool"]

LEAST = 1 << 14
"""Least amount of numbers for which this is not slower than PyTorch's generator."""

BLOCK = 1 << 17
"""Numbers per stream: its creation is cheap beside them, and threads can share the blocks."""

_WORDS = 3  # 64-bit words in the state of SFC64
_FORMS = {"float32": (31, np.int32), "float64": (53, np.int64)}  # bits used, integer type


def fill_uniform(out: Tensor, generator: Generator = None) -> Tensor:
    """Fill a tensor with uniform numbers in the open interval (0, 1).

    They are odd multiples of 2^-32 in float32 and of 2^-54 in float64, rounded. Their spacing is
    much finer near 0 than near 1, so compute the more important tail of a distribution from there.

    Args:
        out: contiguous float32 or float64 tensor on the CPU.
        generator: source of randomness; the global one if None.

    Returns:
        ``out``.

    Example:
        >>> u = fill_uniform(torch.empty(1 << 20), torch.Generator().manual_seed(0))
        >>> bool((u > 0).all() & (u < 1).all()), round(u.mean().item(), 2)
        (True, 0.5)
    """
    flat = out.numpy().reshape(-1)
    blocks = -(-flat.size // BLOCK)
    seeds = torch.empty(blocks, _WORDS, dtype=torch.int64, device="cpu")
    words = seeds.random_(generator=generator).numpy().view(np.uint64)
    parts = [flat[i * BLOCK : (i + 1) * BLOCK] for i in range(blocks)]
    _fill_all(list(zip(parts, words, strict=True)), min(torch.get_num_threads(), blocks))
    if not out.is_inference():
        torch.autograd.graph.increment_version(out)  # NumPy wrote into it
    return out


def _fill_all(tasks: list[tuple[np.ndarray, np.ndarray]], threads: int) -> None:
    """Share the tasks among threads, this one included: a thread that only waits is wasted."""

    def work() -> None:
        while True:
            try:
                block, seed = tasks.pop()
            except IndexError:
                return
            fill_block(block, seed)

    others = [thread_pool().submit(work) for _ in range(threads - 1)]
    work()
    for other in others:
        other.result()


def fill_block(block: np.ndarray, seed: np.ndarray) -> None:
    """Fill a block with uniform numbers from the stream of a seed, three 64-bit words."""
    words: Any = _Seed(seed)  # NumPy's type hints allow its own class only
    _scale(block, np.random.SFC64(words).random_raw(-(-block.nbytes // 8)))


def _scale(block: np.ndarray, words: np.ndarray) -> None:
    """Fill a block with numbers in (0, 1) from the lower bits of random words, without the sign."""
    bits, integers = _FORMS[block.dtype.name]
    cell = 2.0**-bits
    drawn = words.view(integers)
    drawn &= (1 << bits) - 1
    block[...] = drawn[: block.size]
    block *= cell * (1 - np.finfo(block.dtype).eps)  # or the largest would round to 1
    block += cell / 2


class _Seed:
    """Passes its words on unchanged: they are random already, and NumPy would hash them."""

    def __init__(self, words: np.ndarray) -> None:
        self.words = words

    def generate_state(self, n_words: int, dtype: object = np.uint64) -> np.ndarray:
        """Return the words."""
        del n_words, dtype
        return self.words


np.random.bit_generator.ISeedSequence.register(_Seed)

_threads: ThreadPoolExecutor | None = None


def thread_pool() -> ThreadPoolExecutor:
    """Return the pool that helps to fill blocks, the same one throughout a process."""
    global _threads
    if _threads is None:
        _threads = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="relaxit-bits")
    return _threads


def _forget_threads() -> None:
    global _threads
    _threads = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)  # a child process has no threads
