r"""SoftSort: a row-stochastic matrix that sorts.

    P_i = softmax_j( -|x_(i) - x_j| / tau ),      x_(i) the i-th largest.

Each row has its maximum at the item of that rank, so that the argmax of the rows is the argsort at
every temperature. Columns do not sum to one: an item far from all others is under-represented.

Reference: Prillo and Eisenschlos, "SoftSort: A Continuous Relaxation for the argsort Operator",
arXiv:2006.16038, equation 4 (with the absolute difference).
"""

from __future__ import annotations

from torch import Tensor

from relaxit_permutation.matrices.rounding import sorted_stably
from relaxit_permutation.sinkhorn.tempered import divide

__all__ = ["softsort"]


def softsort(values: Tensor, temperature: float | Tensor, ranks: int | None = None) -> Tensor:
    """Return the soft matrix ``[..., ranks, n]``, whose rows sum to 1.

    Adding a constant to all values does not change it, and values c x at temperature c t give the
    matrix of x at t.

    Args:
        values: finite values ``[..., n]``, float32 or wider.
        temperature: float, or tensor ``[..., 1]``.
        ranks: number of rows to return, from the first on; all n if None.

    Example:
        >>> import torch
        >>> softsort(torch.tensor([0.0, 2.0, 1.0]), 0.5)
        tensor([[0.0159, 0.8668, 0.1173],
                [0.1065, 0.1065, 0.7870],
                [0.8668, 0.0159, 0.1173]])
    """
    ordered = sorted_stably(values, descending=True)[0][..., :ranks]
    distance = (ordered.unsqueeze(-1) - values.unsqueeze(-2)).abs()
    return divide(-distance, temperature).softmax(-1)
