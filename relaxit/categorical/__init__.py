"""The built-in structures: one of several categories, and one bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit.categorical.binary import Binary as Binary
    from relaxit.categorical.binary import Bit as Bit
    from relaxit.categorical.binary import LogitConcrete as LogitConcrete
    from relaxit.categorical.categorical import Categorical as Categorical
    from relaxit.categorical.categorical import CategoricalOptions as CategoricalOptions
    from relaxit.categorical.distributions import LogConcrete as LogConcrete
    from relaxit.categorical.distributions import OneHot as OneHot
    from relaxit.categorical.functional import gumbel_softmax as gumbel_softmax

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit.categorical.binary": ["Binary", "Bit", "LogitConcrete"],
        "relaxit.categorical.categorical": ["Categorical", "CategoricalOptions"],
        "relaxit.categorical.distributions": ["LogConcrete", "OneHot"],
        "relaxit.categorical.functional": ["gumbel_softmax"],
    },
)
