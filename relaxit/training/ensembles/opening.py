"""From a configuration to the members of an ensemble and its directory."""

from __future__ import annotations

from pathlib import Path

from relaxit.training.building import build_all
from relaxit.training.config import RunConfig
from relaxit.training.ensembles.directory import EnsembleDirectory
from relaxit.training.ensembles.members import Member
from relaxit.training.ensembles.plan import Plan

__all__ = ["open_members"]


def open_members(
    config: RunConfig, plan: Plan, path: Path | None, overwrite: bool, download: bool
) -> tuple[list[Member], EnsembleDirectory]:
    """Build the members of a plan, and create the directory of the ensemble.

    Args:
        config: configuration that the members share.
        plan: their seeds and temperatures.
        path: the directory; None makes a new one in ``runs/``.
        overwrite: whether an ensemble in the directory is replaced.
        download: whether missing data files may be downloaded.

    Raises:
        RelaxitError: for any problem, before anything is written.
    """
    if path:
        EnsembleDirectory(path).check_free(overwrite)
    configs = plan.configs(config)
    experiments = build_all(list(configs.values()), download)
    directory = EnsembleDirectory(path) if path else EnsembleDirectory.fresh(config)
    if path:
        directory.create(overwrite)
    members = [
        Member(name, experiment, directory.member(name))
        for name, experiment in zip(configs, experiments, strict=True)
    ]
    return members, directory
