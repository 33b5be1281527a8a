"""Sinkhorn's iterations on CUDA in one program for each matrix: when that is taken.

:func:`relaxit_permutation.sinkhorn.sweeps.sweep` asks here first. The program is in
:mod:`relaxit_permutation.sinkhorn.triton_kernels`; where Triton cannot compile it there is one
warning, and from then on the plain form is taken.
"""

from __future__ import annotations

import warnings
from importlib.util import find_spec

import torch
from torch import Tensor

__all__ = ["MOST", "sweep"]

MOST = 128
"""Rows, or columns, of the largest matrix that a program can hold."""

_there = find_spec("triton") is not None
"""Whether Triton is installed and has not failed yet."""


def sweep(
    x: Tensor, u: Tensor, v: Tensor, rows: Tensor, columns: Tensor, iterations: int, aim: float
) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
    """As :func:`relaxit_permutation.sinkhorn.sweeps.sweep`, or None where the program cannot do it.

    Each matrix stops by itself when its sums are right to ``aim``, and nothing waits for it.

    Example:
        >>> one = torch.ones(1, 2, 1)
        >>> sweep(torch.zeros(1, 2, 2), one, one.mT, one, one.mT, 10, 1e-5)  # not on the CPU
    """
    if not _taken(x):
        return None
    try:
        from relaxit_permutation.sinkhorn import triton_kernels

        return triton_kernels.sweep(x, u, v, rows, columns, iterations, aim)
    except Exception as error:  # whatever a compiler may raise on somebody's machine
        _give_up(error)
        return None


def _taken(x: Tensor) -> bool:
    return _there and x.is_cuda and x.dtype == torch.float32 and max(x.shape[-2:]) <= MOST


def _give_up(error: Exception) -> None:
    global _there
    _there = False
    reason = (str(error).strip().splitlines() or [""])[-1]
    warnings.warn(
        "Sinkhorn's iterations are made in plain PyTorch from here on, which is slower: Triton "
        f"failed with {type(error).__name__}: {reason}",
        RuntimeWarning,
        stacklevel=2,
    )
