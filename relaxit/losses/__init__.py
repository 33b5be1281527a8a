"""Losses that are not the expected cost of one sample, so that no estimator can be exchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit.losses.fenchel_young import fenchel_young_loss as fenchel_young_loss
    from relaxit.losses.multi_sample import iwae_loss as iwae_loss
    from relaxit.losses.multi_sample import vimco_loss as vimco_loss

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit.losses.fenchel_young": ["fenchel_young_loss"],
        "relaxit.losses.multi_sample": ["iwae_loss", "vimco_loss"],
    },
)
