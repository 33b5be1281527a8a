"""Gradient estimators: the base classes, and the built-in methods, one per file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit.estimators.arm import Arm as Arm
    from relaxit.estimators.base import OMITTED as OMITTED
    from relaxit.estimators.base import DrawEstimator as DrawEstimator
    from relaxit.estimators.base import Estimator as Estimator
    from relaxit.estimators.base import MissingStateWarning as MissingStateWarning
    from relaxit.estimators.base import SampleEstimator as SampleEstimator
    from relaxit.estimators.base import StatefulEstimator as StatefulEstimator
    from relaxit.estimators.base import surrogate_with as surrogate_with
    from relaxit.estimators.common.costs import Cost as Cost
    from relaxit.estimators.common.costs import checked_cost as checked_cost
    from relaxit.estimators.common.given_actions import given_actions as given_actions
    from relaxit.estimators.decoupled_st_gumbel import (
        DecoupledStraightThroughGumbel as DecoupledStraightThroughGumbel,
    )
    from relaxit.estimators.disarm import Disarm as Disarm
    from relaxit.estimators.exact import Exact as Exact
    from relaxit.estimators.gapped_st import GappedStraightThrough as GappedStraightThrough
    from relaxit.estimators.gumbel_rao import GumbelRao as GumbelRao
    from relaxit.estimators.pathwise import Pathwise as Pathwise
    from relaxit.estimators.perturbed import Perturbed as Perturbed
    from relaxit.estimators.rebar import Rebar as Rebar
    from relaxit.estimators.reinforce import Reinforce as Reinforce
    from relaxit.estimators.reinmax import ReinMax as ReinMax
    from relaxit.estimators.reinmax_cv import ReinMaxControlVariate as ReinMaxControlVariate
    from relaxit.estimators.reinmax_rao import ReinMaxRao as ReinMaxRao
    from relaxit.estimators.relax import RelaxEstimator as RelaxEstimator
    from relaxit.estimators.rloo import Rloo as Rloo
    from relaxit.estimators.st_gumbel import StraightThroughGumbel as StraightThroughGumbel
    from relaxit.estimators.straight_through import StraightThrough as StraightThrough

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit.estimators.base": [
            "OMITTED",
            "DrawEstimator",
            "Estimator",
            "MissingStateWarning",
            "SampleEstimator",
            "StatefulEstimator",
            "surrogate_with",
        ],
        "relaxit.estimators.common.costs": ["Cost", "checked_cost"],
        "relaxit.estimators.common.given_actions": ["given_actions"],
        "relaxit.estimators.arm": ["Arm"],
        "relaxit.estimators.decoupled_st_gumbel": ["DecoupledStraightThroughGumbel"],
        "relaxit.estimators.disarm": ["Disarm"],
        "relaxit.estimators.exact": ["Exact"],
        "relaxit.estimators.gapped_st": ["GappedStraightThrough"],
        "relaxit.estimators.gumbel_rao": ["GumbelRao"],
        "relaxit.estimators.pathwise": ["Pathwise"],
        "relaxit.estimators.perturbed": ["Perturbed"],
        "relaxit.estimators.rebar": ["Rebar"],
        "relaxit.estimators.reinforce": ["Reinforce"],
        "relaxit.estimators.reinmax": ["ReinMax"],
        "relaxit.estimators.reinmax_cv": ["ReinMaxControlVariate"],
        "relaxit.estimators.reinmax_rao": ["ReinMaxRao"],
        "relaxit.estimators.relax": ["RelaxEstimator"],
        "relaxit.estimators.rloo": ["Rloo"],
        "relaxit.estimators.st_gumbel": ["StraightThroughGumbel"],
        "relaxit.estimators.straight_through": ["StraightThrough"],
    },
)
