"""A structure whose exact distribution follows from its log-partition function."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from relaxit.capabilities import Capabilities
from relaxit.dtypes import longest_dtype
from relaxit.relaxation import Relaxation
from relaxit.sum_product.distribution import SumProductDistribution
from relaxit.sum_product.sums import Sum, largest, log_sum

__all__ = ["ExponentialFamily"]


class ExponentialFamily(Relaxation):
    """A structure whose values have probability proportional to the exponential of their score.

    Write :meth:`log_partition` and, if params are not shaped like values, :meth:`statistics` and
    :meth:`from_statistics`; then the discrete distribution is there, with masks. Samples, soft ones
    too, are yours to write; :class:`SumProduct` has them as well.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(
        density=False,
        discrete_distribution=True,
        exact_rounding=False,
        masks=True,
        exponential_family=True,
    )

    @abstractmethod
    def log_partition(self, scores: Tensor, plus: Sum) -> Tensor:
        """Return the sum over all values of the exponential of their score, ``[...]``, in logs.

        Args:
            scores: scores ``[..., *param_shape]``; ``-inf`` is allowed.
            plus: ``plus(x, dim)`` is the sum over a dimension. A value is a choice of one term of
                each sum, so different choices must be different values.
        """

    def discrete(self, params: Tensor) -> SumProductDistribution:
        return SumProductDistribution(self, params)

    def valid_params(self, params: Tensor) -> Tensor:
        rank = len(self.param_shape)
        legal = (params < torch.inf).flatten(params.dim() - rank).all(-1)  # not for NaN
        wide = params.detach().to(longest_dtype(params.device)).nan_to_num(neginf=-torch.inf)
        return legal & (self.log_partition(wide, largest) > -torch.inf)

    @property
    def illegal_params(self) -> str:
        return "NaN, +inf, or masks that leave no value"

    @cached_property
    def log_cardinality(self) -> float:
        return float(self.log_partition(self._zeros().double(), log_sum))
