"""The accuracy asked of Sinkhorn's operator, and the proof that a matrix is its result."""

from __future__ import annotations

import torch
from permutation_helpers import close

TEMPERATURES = [0.01, 0.02, 0.1, 0.3, 1.0, 10.0, 100.0]
AIM = {torch.float32: 1e-4, torch.float64: 1e-9}


def ones(x):
    return x.new_ones(x.shape[-2]), x.new_ones(x.shape[-1])


def certified(x, p, v, rows, atol):
    """``P = rows * softmax(x + v)``: with the sums right, the conditions of the one maximum.

    The potentials come from the solver, but wherever they come from, they prove the matrix right.
    """
    want = rows.double().unsqueeze(-1) * (x.double() + v.double().unsqueeze(-2)).softmax(-1)
    close(p, want, atol, what="not a scaling of exp(x)")
