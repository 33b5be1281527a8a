"""The built-in estimators, one method a file, through the same hook as everyone's."""

from __future__ import annotations

from typing import Any

from relaxit.hookspecs import hookimpl

__all__ = ["relaxit_estimators"]


@hookimpl
def relaxit_estimators() -> list[type[Any]]:
    from relaxit.estimators.decoupled_st_gumbel import DecoupledStraightThroughGumbel
    from relaxit.estimators.gapped_st import GappedStraightThrough
    from relaxit.estimators.gumbel_rao import GumbelRao
    from relaxit.estimators.pathwise import Pathwise
    from relaxit.estimators.reinmax import ReinMax
    from relaxit.estimators.reinmax_cv import ReinMaxControlVariate
    from relaxit.estimators.reinmax_rao import ReinMaxRao
    from relaxit.estimators.st_gumbel import StraightThroughGumbel
    from relaxit.estimators.straight_through import StraightThrough

    return [
        Pathwise,
        StraightThrough,
        StraightThroughGumbel,
        DecoupledStraightThroughGumbel,
        GappedStraightThrough,
        GumbelRao,
        ReinMax,
        ReinMaxRao,
        ReinMaxControlVariate,
    ]
