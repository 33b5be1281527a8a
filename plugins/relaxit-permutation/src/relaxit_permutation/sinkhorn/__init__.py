"""Sinkhorn's operator: sweeps, Newton's method, and a fused implementation on CUDA."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit_permutation.sinkhorn.operator import residual as residual
    from relaxit_permutation.sinkhorn.operator import sinkhorn as sinkhorn
    from relaxit_permutation.sinkhorn.scaling import SinkhornWarning as SinkhornWarning

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit_permutation.sinkhorn.operator": ["residual", "sinkhorn"],
        "relaxit_permutation.sinkhorn.scaling": ["SinkhornWarning"],
    },
)
