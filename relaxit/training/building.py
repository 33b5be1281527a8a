"""Builds runs, and tries one step of them: what would fail at step 0 is rejected here."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from relaxit.errors import ConfigurationError
from relaxit.training.assembly import assemble
from relaxit.training.config import RunConfig
from relaxit.training.experiment import Experiment
from relaxit.training.metrics import check_shapes
from relaxit.training.trial import trial

__all__ = ["build", "build_all", "build_members", "preflight"]


def build(config: RunConfig, download: bool = False) -> Experiment:
    """Build all objects of a run, and try a step. torch's global random state is not changed.

    Args:
        config: configuration of the run.
        download: whether missing data files may be downloaded.

    Raises:
        RelaxitError: if configuration or data are invalid, or the first step would fail; nothing
            has been written then.
    """
    return build_all([config], download)[0]


def build_members(
    config: RunConfig, seeds: Sequence[int], download: bool = False
) -> list[Experiment]:
    """Build runs that differ in their seed only; the data set is loaded once.

    Raises:
        RelaxitError: as :func:`build`.
    """
    return build_all([config.model_copy(update={"seed": seed}) for seed in seeds], download)


def build_all(configs: Sequence[RunConfig], download: bool = False) -> list[Experiment]:
    """Build runs on one data set, which is loaded once, and try a step of the first.

    Args:
        configs: at least one configuration; they may differ in seed and temperature only.
        download: whether missing data files may be downloaded.

    Raises:
        RelaxitError: as :func:`build`.
    """
    experiments = assemble(configs, download)
    preflight(experiments[0])
    return experiments


def preflight(e: Experiment) -> None:
    """Try a training step, forward and backward, and undo it.

    Raises:
        ShapeError: if loss or metrics do not have the shapes that the task declares.
        ConfigurationError: if the loss does not depend on a temperature that is learned.
        Exception: any error of the task.
    """
    generator = e.noise_generator()
    train = e.data.train
    size = min(e.config.batch_size, len(train))  # a task may combine rows, so one may not suffice
    with trial(e.device, e.parts):
        e.model.train()
        batch = train.take(torch.arange(size, device=e.device)).read(generator)
        terms = e.task.terms(e.setup, e.model, batch, e.now(generator, e.schedules(0)))
        check_shapes(e.task, terms)
        terms.loss.mean().backward()
        for name, temperature in (("", e.temperature), *e.temperatures.items()):
            if any(parameter.grad is None for parameter in temperature.parameters()):
                key = f"variables.{name}.temperature" if name else "temperature"
                estimator = e.setup.variables[name].estimator.name
                raise ConfigurationError(
                    f"{key}.schedule = 'learned': estimator {estimator!r} gives the temperature "
                    "no gradient; use another schedule, or 'pathwise'"
                )
