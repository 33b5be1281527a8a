"""Plain numbers where they do not underflow, logarithms where they do."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from relaxit.tracing import may_branch_on_values
from relaxit_graph.trees.arithmetic import ALL_TREES, Arithmetic

__all__ = ["SMALLEST", "as_rows", "with_plain_numbers"]

SMALLEST = 1e-280
"""Plain numbers are exact as long as no divisor, a sum of a row, is smaller: what underflows, at
1e-308, is then less than the rounding error of the sum that it would be added to."""


def as_rows(x: Tensor) -> Tensor:
    """Return matrices ``[*batch, n, n]`` as ``[B, n, n]``.

    Example:
        >>> import torch
        >>> as_rows(torch.zeros(2, 3, 4, 4)).shape, as_rows(torch.zeros(4, 4)).shape
        (torch.Size([6, 4, 4]), torch.Size([1, 4, 4]))
    """
    return x.reshape(-1, *x.shape[-2:])


def with_plain_numbers(
    compute: Callable[..., tuple[tuple[Tensor, ...], Tensor]],
    *given: Tensor,
    arithmetic: Arithmetic = ALL_TREES,
) -> tuple[Tensor, ...]:
    """Compute with plain numbers, and with logarithms where these underflow.

    Args:
        compute: maps an arithmetic and rows to results, and to the smallest divisor of each row.
        given: tensors ``[*batch, n, n]``; the first are the log-weights.
        arithmetic: plain numbers and logarithms.
    """
    rows = [as_rows(x) for x in given]
    if not may_branch_on_values(given[0]):
        return compute(arithmetic.wide(), *rows)[0]
    if not len(rows[0]):
        one, _ = compute(arithmetic.plain(), *(x.new_zeros(1, *x.shape[1:]) for x in rows))
        return tuple(result[:0] for result in one)
    results, smallest = compute(arithmetic.plain(), *rows)
    lost = ~(smallest > SMALLEST)  # also where it is NaN
    if bool(lost.any()):
        repaired, _ = compute(arithmetic.wide(), *(x[lost] for x in rows))
        for result, right in zip(results, repaired, strict=True):
            result[lost] = right
    return results
