"""Several seeds or temperatures of one experiment, trained as one batched step or in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit.training.ensembles.batched import Ensemble as Ensemble
    from relaxit.training.ensembles.directory import EnsembleDirectory as EnsembleDirectory
    from relaxit.training.ensembles.members import EnsembleOutcome as EnsembleOutcome
    from relaxit.training.ensembles.members import Member as Member
    from relaxit.training.ensembles.opening import open_members as open_members
    from relaxit.training.ensembles.plan import Mode as Mode
    from relaxit.training.ensembles.plan import Plan as Plan
    from relaxit.training.ensembles.plan import runs_batched as runs_batched
    from relaxit.training.ensembles.runner import train_members as train_members
    from relaxit.training.ensembles.summary import MetricSummary as MetricSummary
    from relaxit.training.ensembles.summary import metric_summary as metric_summary

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit.training.ensembles.batched": ["Ensemble"],
        "relaxit.training.ensembles.directory": ["EnsembleDirectory"],
        "relaxit.training.ensembles.plan": ["Mode", "Plan", "runs_batched"],
        "relaxit.training.ensembles.members": ["EnsembleOutcome", "Member"],
        "relaxit.training.ensembles.opening": ["open_members"],
        "relaxit.training.ensembles.runner": ["train_members"],
        "relaxit.training.ensembles.summary": ["MetricSummary", "metric_summary"],
    },
)
