"""How many rows go through at once: as many as fit, found out by trying a few."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from relaxit.bench.measuring import peak_bytes

__all__ = ["BUDGET", "chunks_of", "largest_chunk"]

BUDGET = 256 * 2**20
"""Bytes that one piece of work may need at its peak."""

_TRIED, _WITHOUT_FIGURES = 8, 64


def largest_chunk(peak: int | None, tried: int) -> int:
    """Rows that fit into the budget, if so many needed ``peak`` bytes; at least one.

    Example:
        >>> largest_chunk(BUDGET // 2, 8), largest_chunk(4 * BUDGET, 1)
        (16, 1)
    """
    if peak is None:  # a device that does not say
        return _WITHOUT_FIGURES
    return max(1, BUDGET * tried // max(peak, 1))


def chunks_of(number: int, work: Callable[[int], Any], device: torch.device) -> Iterator[slice]:
    """Slices of at most as many of ``number`` rows as fit.

    Args:
        number: of rows.
        work: does the work for so many rows, to see what they need.
        device: where.
    """
    tried = min(number, _TRIED)
    size = (
        number if number <= tried else largest_chunk(peak_bytes(lambda: work(tried), device), tried)
    )
    for start in range(0, number, size):
        yield slice(start, min(start + size, number))
