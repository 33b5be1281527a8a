"""A structure from one function: its log-partition function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit.sum_product.distribution import SumProductDistribution as SumProductDistribution
    from relaxit.sum_product.family import ExponentialFamily as ExponentialFamily
    from relaxit.sum_product.relaxation import SumProduct as SumProduct
    from relaxit.sum_product.sums import Drawn as Drawn
    from relaxit.sum_product.sums import Sum as Sum
    from relaxit.sum_product.sums import largest as largest
    from relaxit.sum_product.sums import log_sum as log_sum

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit.sum_product.distribution": ["SumProductDistribution"],
        "relaxit.sum_product.family": ["ExponentialFamily"],
        "relaxit.sum_product.relaxation": ["SumProduct"],
        "relaxit.sum_product.sums": ["Drawn", "Sum", "largest", "log_sum"],
    },
)
