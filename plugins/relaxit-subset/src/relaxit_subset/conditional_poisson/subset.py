"""k of n items under the conditional Poisson distribution."""

from __future__ import annotations

from torch import Tensor

from relaxit import Capabilities
from relaxit_subset.conditional_poisson.distribution import ConditionalPoisson
from relaxit_subset.relaxed.relaxed_subset import RelaxedSubset

__all__ = ["Subset"]


class Subset(RelaxedSubset):
    """k of n items, with probability proportional to ``exp(sum of the logits of the chosen ones)``.

    This is the distribution of independent bits given that k of them are ones (conditional
    Poisson). Adding a constant to all logits changes nothing. Mass, marginals, entropy, KL
    divergences and samples are exact for any n and k, and all but the samples have gradients; see
    :class:`ConditionalPoisson`.

    The soft sample is the projection of Gumbel-perturbed logits onto the hypersimplex (see
    :mod:`relaxit_subset.relaxed.relaxed_subset`). The k largest Gumbel-perturbed logits follow
    *another* distribution, that of ``subset-plackett-luce``. So the hard sample of ``draw()`` does
    not follow ``q.discrete``, and ``exact_rounding`` is False. No noise that is independent for
    each item is known to give the conditional Poisson distribution. For exact hard samples use
    ``q.sample_hard`` or an estimator that draws them (``simple``, ``straight-through``).

    A param of ``-inf`` excludes an item, ``+inf`` forces it in.

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
    aliases = ("top-k", "k-subset", "k-hot", "conditional-poisson")
    summary = "k of n items: conditional Poisson distribution, projection onto the hypersimplex"
    references = (
        "Chen, Dempster, Liu, Biometrika 81 (1994) (conditional Poisson)",
        "arXiv:2210.01941 (SIMPLE)",
        "arXiv:2006.08063 (relaxation)",
    )
    capabilities = Capabilities(
        density=True,
        log_space=True,
        discrete_distribution=True,
        exact_rounding=False,
        masks=True,
        exponential_family=True,
    )

    @classmethod
    def examples(cls) -> list[Subset]:
        return [cls(n=5, k=2), cls(n=4, k=3)]

    def discrete(self, params: Tensor) -> ConditionalPoisson:
        return ConditionalPoisson(self, params)
