"""Best matchings of a batch of score matrices: scipy's linear assignment, matrix by matrix.

The two operators are opaque to ``torch.compile`` and ``vmap``, because scipy runs on the CPU only.
Scores on a GPU are copied to the CPU, which synchronises with the device.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from relaxit import DomainError, Unsupported
from relaxit.tracing import exporting_to_onnx

__all__ = ["assign", "matchable"]

_UNIT = 2.0**-16
"""Factor of the scores, so that sums of the largest representable numbers do not overflow."""


def assign(scores: Tensor) -> Tensor:  # [..., m, n] -> [..., m, n]
    """Return the matching with the greatest sum of scores, as zeros and ones in the scores' dtype.

    Every row is matched to a different column. scipy breaks ties, so that the result is always a
    matching.

    Args:
        scores: scores ``[..., m, n]`` with m <= n; ``-inf`` excludes an entry.

    Raises:
        DomainError: if scores contain NaN or ``+inf``, or the excluded entries leave no matching.
        Unsupported: while a program is exported to ONNX. A program made by ``torch.export`` needs
            ``import relaxit_permutation.matrices.assignment`` where it is loaded.

    Example:
        >>> assign(torch.tensor([[5.0, 4.0], [4.0, 0.0]]))
        tensor([[0., 1.],
                [1., 0.]])

    Reference: Crouse, IEEE Trans. Aerosp. Electron. Syst. 52 (2016), the algorithm of scipy.
    """
    if exporting_to_onnx():
        raise Unsupported(
            "the best matching cannot be exported to ONNX: it is computed by scipy; export a model "
            "without the hard sample"
        )
    return _assign(scores)


@torch.library.custom_op("relaxit_permutation::assign", mutates_args=())
def _assign(scores: Tensor) -> Tensor:
    from scipy.optimize import linear_sum_assignment  # slow to import, not always needed

    m, n = scores.shape[-2:]
    wide = scores.detach().to("cpu", torch.float64).reshape(-1, m, n)
    costs = wide.mul(-_UNIT).numpy()
    chosen = np.empty((len(costs), m), dtype=np.int64)
    try:
        for row, cost in zip(chosen, costs, strict=True):
            row[:] = linear_sum_assignment(cost)[1]  # scipy returns rows in order
    except ValueError as error:
        raise DomainError(
            f"no best matching: {error} (NaN, +inf or too many entries excluded)"
        ) from error
    index = torch.from_numpy(chosen).to(scores.device).reshape(*scores.shape[:-1], 1)
    return torch.zeros_like(scores, memory_format=torch.contiguous_format).scatter_(-1, index, 1.0)


@torch.library.custom_op("relaxit_permutation::matchable", mutates_args=())
def matchable(allowed: Tensor) -> Tensor:  # [..., m, n] of bool -> [...] of bool
    """Whether all rows can be matched to different columns using only allowed entries.

    Example:
        >>> matchable(torch.tensor([[[True, False], [True, False]], [[True, False], [True, True]]]))
        tensor([False,  True])
    """
    shape = allowed.shape
    flat = allowed.detach().cpu().reshape(-1, *shape[-2:]).numpy()
    feasible: Any = flat.all((-1, -2))
    for i in np.flatnonzero(~feasible):
        feasible[i] = _is_feasible(np.where(flat[i], 0.0, np.inf))
    return torch.from_numpy(feasible).to(allowed.device).reshape(shape[:-2])


def _is_feasible(costs: Any) -> bool:
    from scipy.optimize import linear_sum_assignment

    try:
        linear_sum_assignment(costs)
    except ValueError:
        return False
    return True


@_assign.register_fake
def _(scores: Tensor) -> Tensor:
    return torch.empty_like(scores, memory_format=torch.contiguous_format)


@matchable.register_fake
def _(allowed: Tensor) -> Tensor:
    return allowed.new_empty(allowed.shape[:-2])


@_assign.register_vmap
def _(info: Any, in_dims: tuple[int], scores: Tensor) -> tuple[Tensor, int]:
    return _assign(scores.movedim(in_dims[0], 0)), 0


@matchable.register_vmap
def _(info: Any, in_dims: tuple[int], allowed: Tensor) -> tuple[Tensor, int]:
    return matchable(allowed.movedim(in_dims[0], 0)), 0
