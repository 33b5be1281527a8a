r"""ARM: augment, reinforce, merge, for independent bits.

With uniform u, one per bit, and the pair b = 1[u > sigmoid(-a)], b' = 1[u < sigmoid(a)],

    grad = (f(b) - f(b')) (u - 1/2).

Unbiased for any cost, which need not be differentiable. The cost is evaluated twice, on vertices,
however many bits it depends on; the value is the mean of the two. Memory is that of two graphs of
the cost. Requires params that are logits of independent bits. ``disarm`` costs the same and its
variance is never greater.

Reference: Yin and Zhou, "ARM: Augment-REINFORCE-Merge Gradient for Stochastic Binary Networks",
arXiv:1807.11143, theorem 1.
"""

from __future__ import annotations

from torch import Tensor

from relaxit.estimators.common.antithetic import Antithetic

__all__ = ["Arm"]


class Arm(Antithetic):
    """The difference of two antithetic costs, weighted by the noise.

    Example:
        >>> import torch, relaxit
        >>> logits = torch.zeros(5, requires_grad=True)
        >>> q = relaxit.get("binary")(logits)
        >>> relaxit.estimator("arm").surrogate(q, lambda z: z.sum(-1) ** 2).backward()
        >>> logits.grad.shape
        torch.Size([5])
    """

    api = 1
    name = "arm"
    aliases = ("augment-reinforce-merge",)
    summary = "bits: two antithetic draws, weighted by their noise"
    references = ("arXiv:1807.11143, theorem 1",)

    def weight(self, logits: Tensor, noise: Tensor, bit: Tensor, other: Tensor) -> Tensor:
        del logits, bit, other
        return noise.sigmoid() - 0.5
