"""Permutations by Gumbel-Sinkhorn."""

from __future__ import annotations

import torch

from relaxit_permutation.gumbel_sinkhorn.base import GumbelSinkhorn
from relaxit_permutation.gumbel_sinkhorn.options import PermutationOptions

__all__ = ["Permutation"]


class Permutation(GumbelSinkhorn):
    """Orders of n items by Gumbel-Sinkhorn: doubly stochastic matrices, permutations in the limit.

    Params and values are ``[*batch, n, n]``. **Rows are ranks, columns are items**, and the order
    is descending: P[i, j] = 1 gives item j rank i, and ``P @ x`` is x in that order. The param of
    entry i, j is the score of item j at rank i.

    Soft samples are doubly stochastic to ``tolerance`` (1e-4) at any temperature. They are computed
    by Sinkhorn's sweeps, followed by Newton's method where sweeps are too slow. If the tolerance is
    not reached, a :class:`~relaxit_permutation.sinkhorn.scaling.SinkhornWarning` reports the
    error. The gradient is that of the limit and takes one linear system for any number of sweeps.

    Hard samples are the best assignments of the perturbed scores, computed by scipy on the CPU.

    There is no density and no mass, and the KL divergence is an upper bound; see
    :mod:`relaxit_permutation.gumbel_sinkhorn.base`. Where this is not sufficient, see
    ``permutation-plackett-luce``. A param of ``-inf`` excludes an entry.

    Example:
        >>> import torch, relaxit
        >>> order = relaxit.get("permutation", n=3)
        >>> x = torch.tensor([0.3, 0.9, 0.5])
        >>> scores = torch.tensor([[3.0], [2.0], [1.0]]) * x  # the greatest to the first rank
        >>> order.argmax(scores) @ x
        tensor([0.9000, 0.5000, 0.3000])
        >>> soft = order(scores, temperature=0.1).rsample()
        >>> torch.allclose(soft.sum(-1), torch.ones(3), atol=1e-4)
        True
    """

    api = 1
    name = "permutation"
    summary = "orders of n items: Gumbel-Sinkhorn, Hungarian algorithm"
    references = ("arXiv:1802.08665 (Gumbel-Sinkhorn)", "arXiv:2205.06688 (implicit gradient)")
    Options = PermutationOptions
    options: PermutationOptions

    @classmethod
    def sizes(cls, shape: torch.Size) -> dict[str, int]:
        return {"n": shape[-1]} if len(shape) >= 2 else {}

    @property
    def event_shape(self) -> torch.Size:
        return torch.Size((self.options.n, self.options.n))

    @classmethod
    def examples(cls) -> list[Permutation]:
        return [cls(n=3), cls(n=4)]
