r"""NeuralSort: a unimodal row-stochastic matrix that sorts.

    P_i = softmax_j( ((n + 1 - 2i) x_j - sum_k |x_j - x_k|) / tau ),      i = 1 .. n.

In this form large numbers are subtracted from each other. Let the items be in descending order
x_(1) >= x_(2) >= ..., with gaps g_m = x_(m) - x_(m+1). Then the greatest exponent of row i is that
of item (i), and the exponent of item (r) is lower by the sum of the gaps between the two items,
with weights 1, 3, 5, ... counted from rank i outwards:

    d(i, r) = sum_{m=i}^{r-1} (2 (m - i) + 1) g_m         for r > i, and likewise upwards.

All terms of this sum have the same sign, so it is accurate to the last bits at any scale, with
ties, and at any temperature. It is the form used here. SoftSort is the same with all weights 1.

Reference: Grover, Wang, Zweig, Ermon, "Stochastic Optimization of Sorting Networks via Continuous
Relaxations", arXiv:1903.08850, equation 5.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from relaxit_permutation.matrices.rounding import sorted_stably
from relaxit_permutation.sinkhorn.tempered import divide

__all__ = ["neuralsort"]


def neuralsort(values: Tensor, temperature: float | Tensor, ranks: int | None = None) -> Tensor:
    """Return the soft matrix ``[..., ranks, n]``, whose rows sum to 1.

    It has the invariances of :func:`~relaxit_permutation.sorting.softsort.softsort`, and is much
    sharper at the same temperature, because the weights grow with the number of items in between.

    Args:
        values: finite values ``[..., n]``, float32 or wider.
        temperature: float, or tensor ``[..., 1]``.
        ranks: number of rows to return, from the first on; all n if None.

    Example:
        >>> neuralsort(torch.tensor([0.0, 2.0, 1.0]), 1.0)
        tensor([[0.0132, 0.7214, 0.2654],
                [0.2119, 0.2119, 0.5761],
                [0.7214, 0.0132, 0.2654]])
    """
    n = values.shape[-1]
    ordered, order = sorted_stably(values, descending=True)
    gaps = (ordered[..., :-1] - ordered[..., 1:]).unsqueeze(-2)
    rank = torch.arange(n, device=values.device)
    weights = (2 * (rank[:-1] - rank[:ranks].unsqueeze(-1)) + 1).to(values.dtype)
    below = pad((gaps * weights.clamp_min(0)).cumsum(-1), (1, 0))
    above = pad((gaps * (-weights).clamp_min(0)).flip(-1).cumsum(-1).flip(-1), (0, 1))
    by_rank = divide(-(below + above), temperature).softmax(-1)
    place = order.argsort(-1).unsqueeze(-2).expand_as(by_rank)
    return by_rank.gather(-1, place)
