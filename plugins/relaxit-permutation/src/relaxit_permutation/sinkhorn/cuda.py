"""Sinkhorn's iterations on CUDA in one program per matrix: the choice of this implementation.

:func:`relaxit_permutation.sinkhorn.sweeps.sweep` tries it first. The program is in
:mod:`relaxit_permutation.sinkhorn.triton_kernels`. If Triton cannot compile it, there is one
warning, and the reference implementation is used from then on.
"""

from __future__ import annotations

import warnings
from importlib.util import find_spec

import torch
from torch import Tensor

__all__ = ["MOST", "sweep", "triton_works", "uses_triton"]

MOST = 128
"""Largest number of rows, or of columns, of a matrix that a program can hold."""

triton_works = find_spec("triton") is not None
"""Whether Triton is installed and has not failed yet."""


def sweep(
    x: Tensor, u: Tensor, v: Tensor, rows: Tensor, columns: Tensor, iterations: int, aim: float
) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
    """Run :func:`relaxit_permutation.sinkhorn.sweeps.sweep`, or return None if not supported.

    Each matrix stops by itself when its sums are accurate to ``aim``, without synchronisation.

    Example:
        >>> ones = torch.ones(1, 2, 1)
        >>> sweep(torch.zeros(1, 2, 2), ones, ones.mT, ones, ones.mT, 10, 1e-5)  # not on the CPU
    """
    if not uses_triton(x):
        return None
    try:
        from relaxit_permutation.sinkhorn import triton_kernels

        return triton_kernels.sweep(x, u, v, rows, columns, iterations, aim)
    except Exception as error:  # a compiler may raise anything on an unknown machine
        _give_up(error)
        return None


def uses_triton(x: Tensor) -> bool:
    """Whether the program can scale these matrices: on CUDA, in float32, and not too large."""
    return triton_works and x.is_cuda and x.dtype == torch.float32 and max(x.shape[-2:]) <= MOST


def _give_up(error: Exception) -> None:
    global triton_works
    triton_works = False
    reason = (str(error).strip().splitlines() or [""])[-1]
    warnings.warn(
        "Sinkhorn's iterations will run in plain PyTorch from now on, which is slower, because "
        f"Triton failed with {type(error).__name__}: {reason}",
        RuntimeWarning,
        stacklevel=2,
    )
