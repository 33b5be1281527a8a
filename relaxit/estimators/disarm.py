r"""DisARM: two antithetic draws of independent bits, with the noise integrated out.

With the pair b, b' of ARM,

    grad = 1/2 (f(b) - f(b')) (b - b') sigmoid(|a|):

the expectation of ARM's estimate given the pair, so its variance is never greater. Only bits that
differ get a gradient.

Unbiased for any cost, which need not be differentiable. The cost is evaluated twice, on vertices,
however many bits it depends on; the value is the mean of the two. Memory is that of two graphs of
the cost. Requires params that are logits of independent bits.

Reference: Dong, Mnih, Tucker, "DisARM: An Antithetic Gradient Estimator for Binary Latent
Variables", arXiv:2006.10680, eq. 4; found independently as U2G by Yin, Ho, Yan, Qian, Zhou.
"""

from __future__ import annotations

from torch import Tensor

from relaxit.estimators.common.antithetic import Antithetic

__all__ = ["Disarm"]


class Disarm(Antithetic):
    """The difference of two antithetic costs, for the bits in which the draws differ.

    Example:
        >>> import torch, relaxit
        >>> logits = torch.zeros(5, requires_grad=True)
        >>> q = relaxit.get("binary")(logits)
        >>> relaxit.estimator("disarm").surrogate(q, lambda z: z.sum(-1) ** 2).backward()
        >>> logits.grad.shape
        torch.Size([5])
    """

    api = 1
    name = "disarm"
    aliases = ("u2g",)
    summary = "bits: two antithetic draws, the noise integrated out"
    references = ("arXiv:2006.10680, eq. 4",)

    def weight(self, logits: Tensor, noise: Tensor, bit: Tensor, other: Tensor) -> Tensor:
        del noise
        return 0.5 * (bit - other) * logits.abs().sigmoid()
