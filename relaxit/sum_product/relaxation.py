"""A structure from one function: its log-partition function."""

from __future__ import annotations

from torch import Tensor
from torch.distributions.constraints import Constraint

from relaxit import constraints
from relaxit.derivative import derivative, transposed
from relaxit.dtypes import longest_dtype
from relaxit.perturb import PerturbAndRelax
from relaxit.sum_product.family import ExponentialFamily
from relaxit.sum_product.sums import Sum, largest, log_sum
from relaxit.temperature import divide_by_temperature

__all__ = ["SumProduct"]


class SumProduct(ExponentialFamily, PerturbAndRelax):
    """A structure whose values have probability proportional to the exponential of their score.

    Write ``log_partition(scores, plus)``, with ``plus(x, dim)`` for every sum over alternatives and
    ``+`` for every product, and the two shapes. If params are not shaped like values, write
    ``statistics`` and ``from_statistics`` as well. Statistics are zeros and ones.

    Everything else follows by differentiation: the argmax with the maximum for ``plus``, marginals
    and relaxed samples with a log-sum, exact samples with a sum whose derivative is one of its
    terms, and from these the mass, entropy, divergences, mode, hard values, masks and, for small
    structures, the list of all values. Params of ``-inf`` exclude what they score.

    Computed in float64, where the device has it. A relaxed sample is the mean value at
    ``scores / temperature``, which is the stochastic softmax with the entropy of the distribution.

    References: Paulus et al., arXiv:2006.08063, section 3 (relaxation); Eisner, "Inside-Outside and
    Forward-Backward Algorithms Are Just Backprop", EMNLP workshop 2016.

    Example:
        >>> import torch, relaxit
        >>> class Run(relaxit.SumProduct):  # consecutive ones: 1100, 0111, ..., or none
        ...     '''Params [4] and values [4].'''
        ...     api, name = 1, "run"
        ...     param_shape = event_shape = torch.Size([4])
        ...     def log_partition(self, scores, plus):
        ...         before = inside = after = torch.zeros_like(scores[..., 0])
        ...         inside = inside - torch.inf
        ...         after = inside
        ...         for score in scores.unbind(-1):
        ...             after = plus(torch.stack([inside, after]), 0)
        ...             inside = score + plus(torch.stack([before, inside]), 0)
        ...         return plus(torch.stack([before, inside, after]), 0)
        >>> run = Run()
        >>> q = run(torch.zeros(32, 4), temperature=0.5)
        >>> q.rsample().shape, len(run.enumerate_vertices())
        (torch.Size([32, 4]), 11)
        >>> q.discrete.mean[0]
        tensor([0.3636, 0.5455, 0.5455, 0.3636])
    """

    @property
    def support(self) -> Constraint:
        """The convex hull of the values, see :class:`relaxit.constraints.hull_by`."""
        return constraints.hull_by(self._best, len(self.event_shape))

    @property
    def vertices(self) -> Constraint:
        """The values, see :class:`relaxit.constraints.vertices_by`."""
        return constraints.vertices_by(self._best, len(self.event_shape))

    def relax(self, scores: Tensor, temperature: float | Tensor) -> Tensor:
        scaled = divide_by_temperature(scores.to(longest_dtype(scores.device)), temperature)
        return self.from_statistics(self._derivative(log_sum, scaled))

    def argmax(self, scores: Tensor) -> Tensor:
        wide = scores.to(longest_dtype(scores.device))
        return self.from_statistics(self._derivative(largest, wide))

    def hard(self, soft: Tensor) -> Tensor:
        # The squared distance to a value v of zeros and ones is a constant minus <2 soft - 1, v>.
        return self._best(2 * soft.detach().to(longest_dtype(soft.device)) - 1).to(soft.dtype)

    def _best(self, direction: Tensor) -> Tensor:
        """Return the value with the largest inner product with ``[..., *event_shape]``."""
        rank, wide = len(self.event_shape), direction.to(longest_dtype(direction.device))
        batch = wide.shape[: wide.dim() - rank]
        zeros = wide.new_zeros(batch + self.param_shape)
        scores = transposed(self.from_statistics, zeros, wide, len(self.param_shape))
        return self.argmax(scores)

    def _derivative(self, plus: Sum, scores: Tensor) -> Tensor:
        rank = len(self.param_shape)
        return derivative(lambda x: self.log_partition(x, plus), scores, rank)
