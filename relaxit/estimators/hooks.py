"""Register the built-in estimators, by the same hook as any plugin."""

from __future__ import annotations

from typing import Any

from relaxit.hooks import hookimpl

__all__ = ["relaxit_estimators"]


@hookimpl
def relaxit_estimators() -> list[type[Any]]:
    from relaxit.estimators.arm import Arm
    from relaxit.estimators.decoupled_st_gumbel import DecoupledStraightThroughGumbel
    from relaxit.estimators.disarm import Disarm
    from relaxit.estimators.exact import Exact
    from relaxit.estimators.gapped_st import GappedStraightThrough
    from relaxit.estimators.gumbel_rao import GumbelRao
    from relaxit.estimators.pathwise import Pathwise
    from relaxit.estimators.perturbed import Perturbed
    from relaxit.estimators.rebar import Rebar
    from relaxit.estimators.reinforce import Reinforce
    from relaxit.estimators.reinmax import ReinMax
    from relaxit.estimators.reinmax_cv import ReinMaxControlVariate
    from relaxit.estimators.reinmax_rao import ReinMaxRao
    from relaxit.estimators.relax import RelaxEstimator
    from relaxit.estimators.rloo import Rloo
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
        Reinforce,
        Rloo,
        Arm,
        Disarm,
        Rebar,
        RelaxEstimator,
        Exact,
        Perturbed,
    ]
