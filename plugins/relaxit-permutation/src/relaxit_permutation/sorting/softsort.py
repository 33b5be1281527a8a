r"""SoftSort: a row-stochastic matrix that sorts.

    P_i = softmax_j( -|x_(i) - x_j| / tau ),      x_(i) the i-th largest.

Each row has its maximum at the item of that rank, so that its argmax is the argsort at every
temperature. Columns do not sum to one: an item far from all others is under-represented.

Reference: Prillo and Eisenschlos, "SoftSort: A Continuous Relaxation for the argsort Operator",
arXiv:2006.16038, equation 4 (with the absolute difference).
"""

from __future__ import annotations

from torch import Tensor

from relaxit_permutation.sinkhorn.tempered import divide

__all__ = ["softsort"]


def softsort(values: Tensor, temperature: float | Tensor, ranks: int | None = None) -> Tensor:
    """The soft matrix ``[..., ranks, n]``, rows summing to 1; the first rows only if ``ranks``.

    It does not change with a constant added to all values; at temperature c t values c x give the
    matrix of x at t.

    Args:
        values: ``[..., n]``, finite, float32 at least.
        temperature: float, or tensor ``[..., 1]``.
        ranks: how many rows; all n if None.

    Example:
        >>> import torch
        >>> softsort(torch.tensor([0.0, 2.0, 1.0]), 0.5)
        tensor([[0.0159, 0.8668, 0.1173],
                [0.1065, 0.1065, 0.7870],
                [0.8668, 0.0159, 0.1173]])
    """
    ordered = values.sort(dim=-1, descending=True, stable=True).values[..., :ranks]
    distance = (ordered.unsqueeze(-1) - values.unsqueeze(-2)).abs()
    return divide(-distance, temperature).softmax(-1)
