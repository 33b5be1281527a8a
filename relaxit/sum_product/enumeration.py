"""All values of a small structure, from its log-partition function alone."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from relaxit.derivative import derivative
from relaxit.errors import Unsupported

__all__ = ["MOST_VALUES", "statistics_of_all_values"]

MOST_VALUES = 20_000
"""Structures with more values are not listed."""

_FORCED = 200.0
"""Score that makes up for all others: exp(-200) is less than the rounding error of a mean."""


def statistics_of_all_values(
    log_partition: Callable[[Tensor], Tensor], param_shape: torch.Size
) -> Tensor:
    """Return the statistics ``[N, *param_shape]`` of all values, in float64 on the CPU.

    Values are split by an entry that only some of them have, which is excluded from the one half
    and forced into the other, until each part has a single value. Statistics are zeros and ones.

    Args:
        log_partition: function of scores ``[*batch, *param_shape]``.
        param_shape: shape of the scores of one variable.

    Raises:
        Unsupported: if a statistic is neither 0 nor 1.

    Example:
        >>> statistics_of_all_values(lambda scores: scores.logsumexp(-1), torch.Size([2]))
        tensor([[1., 0.],
                [0., 1.]], dtype=torch.float64)
    """
    rank, size = len(param_shape), math.prod(param_shape)
    parts = torch.zeros(1, size, dtype=torch.float64, device="cpu")
    done = []
    while len(parts):
        means = derivative(log_partition, parts.reshape(-1, *param_shape), rank).reshape(-1, size)
        if bool((means > 1 + 1e-6).any()):
            raise Unsupported("a statistic of a value is larger than 1; values cannot be listed")
        shared = (means > 1e-9) & (means < 1 - 1e-9) & (parts == 0)  # by some values, not all
        settled = ~shared.any(-1)
        done.append(means[settled].round())
        parts, entry = parts[~settled], shared[~settled].double().argmax(-1, keepdim=True)
        parts = torch.cat([parts.scatter(-1, entry, x) for x in (_FORCED, -torch.inf)])
    return torch.cat(done).reshape(-1, *param_shape)
