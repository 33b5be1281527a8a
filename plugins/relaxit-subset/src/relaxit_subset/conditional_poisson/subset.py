"""k of n items under the conditional Poisson law."""

from __future__ import annotations

from torch import Tensor

from relaxit import Capabilities
from relaxit_subset.conditional_poisson.distribution import ConditionalPoisson
from relaxit_subset.relaxed.relaxed_subset import RelaxedSubset

__all__ = ["Subset"]


class Subset(RelaxedSubset):
    """k of n items, with probability proportional to ``exp(sum of the logits of those chosen)``.

    The law of independent bits given that k of them are ones (conditional Poisson). Adding a
    constant to all logits changes nothing. Mass, marginals, entropy, KL divergences and draws are
    exact, for any n and k, with gradients; see :class:`ConditionalPoisson`.

    The relaxed sample perturbs logits with Gumbel noise and projects on the hypersimplex (see
    :mod:`relaxit_subset.relaxed.relaxed_subset`). The k largest of Gumbel-perturbed logits follow
    *another* law, that of ``subset-plackett-luce``, so the hard value of a draw is not distributed
    as ``q.discrete``, and ``exact_rounding`` is denied. No noise that is independent for each item
    is known to give this law. For exact hard values use ``q.sample_hard`` or an estimator that
    draws them (``simple``, ``straight-through``).

    Params of ``-inf`` exclude an item, ``+inf`` forces it in.

    Example:
        >>> import torch, relaxit
        >>> subset = relaxit.get("subset", n=4, k=2)
        >>> q = subset(torch.tensor([0.0, 1.0, -1.0, 0.0]), temperature=0.5)
        >>> q.discrete.mean
        tensor([0.5000, 0.7876, 0.2124, 0.5000])
        >>> q.kl_to_uniform()
        tensor(0.2662)
        >>> q.sample_hard((100,)).sum(-1).unique()
        tensor([2.])
    """

    api = 1
    name = "subset"
    summary = "k of n items: conditional Poisson law, projection on the hypersimplex"
    references = (
        "Chen, Dempster, Liu, Biometrika 81 (1994) (conditional Poisson)",
        "arXiv:2210.01941 (SIMPLE)",
        "arXiv:2006.08063 (relaxation)",
    )
    capabilities = Capabilities(
        density=True, log_space=True, discrete_distribution=True, exact_rounding=False, masks=True
    )

    @classmethod
    def examples(cls) -> list[Subset]:
        return [cls(n=5, k=2), cls(n=4, k=3)]

    def discrete(self, params: Tensor) -> ConditionalPoisson:
        return ConditionalPoisson(self, params)
