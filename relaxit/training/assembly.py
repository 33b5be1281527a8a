"""From a configuration to the objects of a run; plugin names are resolved only here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from relaxit.data import Format, Splits, check_columns
from relaxit.environment import choose_device, require_memory
from relaxit.errors import ConfigurationError
from relaxit.estimators import StatefulEstimator
from relaxit.options import Configured
from relaxit.plugins import default_registry
from relaxit.training.config import (
    DataConfig,
    PluginChoice,
    RunConfig,
    TemperatureConfig,
    VariableConfig,
)
from relaxit.training.experiment import Experiment
from relaxit.training.precision import check_precision
from relaxit.training.schedules import temperature_schedule
from relaxit.training.seeds import derive
from relaxit.training.setup import Setup, Variable, state_name
from relaxit.training.task import Task
from relaxit.training.temperature import Temperature

__all__ = [
    "assemble",
    "build_model",
    "build_task",
    "load_data",
    "seeded_weights",
    "with_defaults",
]

DEFAULT_DATA_DIR = "data"


def build_task(config: RunConfig) -> tuple[Task, Setup]:
    """Build and check the task and its setup, before any data or model is loaded.

    Raises:
        UnknownName, PluginError, ConfigurationError, Unsupported: if names or options do not fit.
    """
    task: Task = default_registry().find("task", config.task.name).from_json(config.task.options)
    first = _variable("", config)
    setup = Setup(
        relaxation=first.relaxation,
        estimator=first.estimator,
        latents=first.latents,
        batch_size=config.batch_size,
        seed=config.seed,
        precision=config.precision,
        others={name: _variable(name, config.variables[name]) for name in config.variables},
    )
    _check_variables(task, setup)
    if config.precision == "bfloat16" and not task.autocasts:
        raise ConfigurationError(
            f"precision (--precision): task {task.name!r} does not support bfloat16; use float32"
        )
    task.check(setup)
    for variable in setup.variables.values():
        variable.estimator.check_joint(variable.relaxation, variable.latents)
    _check_memory(setup)
    return task, setup


def _variable(name: str, config: RunConfig | VariableConfig) -> Variable:
    """Build a variable of the model, and check its temperature."""
    registry = default_registry()
    relaxation, estimator = (
        registry.find(kind, choice.name).from_json(choice.options)
        for kind, choice in (("relaxation", config.relaxation), ("estimator", config.estimator))
    )
    t = config.temperature
    temperature_schedule(t.schedule, t.initial, t.final, 1, t.rate)  # raises if settings conflict
    return Variable(relaxation, estimator, config.latents, name=name)


def _check_variables(task: Task, setup: Setup) -> None:
    """Check that the run has the further variables of the task, and no others."""
    for name in task.variables:
        setup.variable(name)
    if unknown := setup.others.keys() - set(task.variables):
        known = f"has only {', '.join(task.variables)}" if task.variables else "has none"
        raise ConfigurationError(
            f"variables.{min(unknown)}: task {task.name!r} {known} beside its first variable"
        )


def load_data(config: RunConfig, download: bool = False) -> Splits:
    """Load the examples of a configuration, on the CPU, with the validation part held out.

    Raises:
        UnknownName, OptionsError: if the data set is not registered, or has no such option.
        DataError: if its files are missing or damaged.
    """
    source = default_registry().find("dataset", config.data.name).from_json(config.data.options)
    data: Splits = source.load(Path(config.data.dir or DEFAULT_DATA_DIR), download)
    return data.hold_out(config.data.validation)


@contextlib.contextmanager
def seeded_weights(seed: int) -> Iterator[None]:
    """Context in which torch's global generator on the CPU is seeded for a run's weights."""
    with torch.random.fork_rng(devices=[]):
        # Only the CPU's generator: torch.manual_seed would also reseed those of other devices.
        torch.default_generator.manual_seed(derive(seed, "weights"))
        yield


def build_model(task: Task, setup: Setup, format: Format) -> nn.Module:
    """Build the model with its initial weights, which depend on the seed only."""
    with seeded_weights(setup.seed):
        model = task.build(setup, format)
        for name, variable in setup.variables.items():
            if isinstance(variable.estimator, StatefulEstimator):
                state = variable.estimator.build_state(variable.relaxation, variable.latents)
                model.add_module(state_name(name), state)  # trained and saved with the model
        return model


def assemble(configs: Sequence[RunConfig], download: bool = False) -> list[Experiment]:
    """Build all objects of runs on one data set, without trying a step.

    Args:
        configs: at least one configuration; they may differ in seed and temperature only.
        download: whether missing data files may be downloaded.

    Raises:
        RelaxitError: as :func:`relaxit.training.build`.
    """
    config = configs[0]
    device = choose_device(config.device)
    _check_execution(config, device)
    task, setup = build_task(config)
    data = load_data(config, download)
    check_columns(task.name, required := task.requires(setup), data, config.data.name)
    data = data.select([name for name in required if name in data.format.columns])
    steps = config.epochs * -(-len(data.train) // config.batch_size)
    moved = data.to(device)
    members = []
    for member in configs:
        member_setup = replace(setup, seed=member.seed)
        model = build_model(task, member_setup, data.format)
        task.prepare(member_setup, model, data)
        members.append(
            Experiment(
                config=with_defaults(member, task, member_setup),
                device=device,
                data=moved,
                task=task,
                setup=member_setup,
                model=model.to(device),
                temperature=Temperature(member.temperature, steps).to(device),
                temperatures=_temperatures(member, steps).to(device),
                steps=steps,
                noun=default_registry().find("dataset", config.data.name).noun,
            )
        )
    return members


def _temperatures(config: RunConfig, steps: int) -> nn.ModuleDict:
    settings: dict[str, TemperatureConfig] = {
        name: variable.temperature for name, variable in config.variables.items()
    }
    return nn.ModuleDict({name: Temperature(t, steps) for name, t in settings.items()})


def with_defaults(config: RunConfig, task: Task, setup: Setup) -> RunConfig:
    """Return the configuration with the options of all its plugins filled in.

    Aliases are replaced by registered names, and defaults are included, since a saved run must not
    change when a plugin changes a default.
    """
    source = default_registry().find("dataset", config.data.name).from_json(config.data.options)
    return config.model_copy(
        update={
            "task": _filled(config.task, task),
            "data": _filled(config.data, source),
            "relaxation": _filled(config.relaxation, setup.relaxation),
            "estimator": _filled(config.estimator, setup.estimator),
            "variables": {
                name: variable.model_copy(
                    update={
                        "relaxation": _filled(variable.relaxation, setup.others[name].relaxation),
                        "estimator": _filled(variable.estimator, setup.others[name].estimator),
                    }
                )
                for name, variable in config.variables.items()
            },
        }
    )


C = TypeVar("C", PluginChoice, DataConfig)


def _filled(choice: C, part: Configured) -> C:
    # A name stays as it was given, with its distribution perhaps, unless it is an alias.
    name = choice.name if choice.name.rpartition(":")[2] == part.name else part.name
    options = part.options.model_dump(mode="json")
    return choice.model_copy(update={"name": name, "options": options})


def _check_execution(config: RunConfig, device: torch.device) -> None:
    """Check that the device supports engine and precision."""
    if config.engine == "graph" and device.type != "cuda":
        raise ConfigurationError(
            f"engine (--engine): graph needs a CUDA device, this run is on {device.type}; use "
            "auto, eager or compile"
        )
    check_precision(config.precision, device)


def _check_memory(setup: Setup) -> None:
    for variable in setup.variables.values():
        shape = variable.relaxation.param_shape
        entries = variable.latents * (shape.numel() + variable.relaxation.event_shape.numel())
        # Four bytes each, for params, gradients and Adam's two moments.
        require_memory(4 * 4 * entries, f"{variable.latents} latents of shape {list(shape)}")
