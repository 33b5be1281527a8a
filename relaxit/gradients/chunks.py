"""Choose how many rows to process at once: as many as fit into memory, after trying a few."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from relaxit.bench.measuring import peak_bytes

__all__ = ["BUDGET", "chunks_of", "largest_chunk"]

BUDGET = 256 * 2**20
"""Largest peak memory of one chunk, in bytes."""

_TRIED, _WITHOUT_FIGURES = 8, 64


def largest_chunk(peak: int | None, tried: int) -> int:
    """Return how many rows fit into the budget if ``tried`` rows need ``peak`` bytes; at least 1.

    Example:
        >>> largest_chunk(BUDGET // 2, 8), largest_chunk(4 * BUDGET, 1)
        (16, 1)
    """
    if peak is None:  # a device that does not report memory
        return _WITHOUT_FIGURES
    return max(1, BUDGET * tried // max(peak, 1))


def chunks_of(number: int, work: Callable[[int], Any], device: torch.device) -> Iterator[slice]:
    """Yield slices of ``number`` rows that fit into the budget each.

    Args:
        number: number of rows.
        work: function that processes a number of rows, to measure their memory.
        device: device on which the work is done.
    """
    tried = min(number, _TRIED)
    size = (
        number if number <= tried else largest_chunk(peak_bytes(lambda: work(tried), device), tried)
    )
    for start in range(0, number, size):
        yield slice(start, min(start + size, number))
