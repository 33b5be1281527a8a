"""From a configuration to the objects of a run; plugin names are resolved only here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from relaxit.data import Format, PartName, Splits, check_columns
from relaxit.drawing import errors_as_warnings
from relaxit.environment import choose_device, require_memory
from relaxit.errors import ConfigurationError
from relaxit.estimators import StatefulEstimator
from relaxit.options import Configured
from relaxit.plugins import default_registry
from relaxit.relaxation import Relaxation
from relaxit.training.config import (
    DataConfig,
    PluginChoice,
    RunConfig,
    TemperatureConfig,
    VariableConfig,
)
from relaxit.training.precision import check_precision
from relaxit.training.schedules import cosine_decay, ramp, temperature_schedule
from relaxit.training.seeds import derive
from relaxit.training.setup import Setup, Variable, state_name
from relaxit.training.task import Row, Step, Task
from relaxit.training.temperature import Temperature

__all__ = [
    "Experiment",
    "assemble",
    "build_model",
    "build_task",
    "evaluation_mode",
    "load_data",
    "seeded_weights",
    "with_defaults",
]

DEFAULT_DATA_DIR = "data"


@dataclass
class Experiment:
    """All objects of a run, on its device.

    Attributes:
        config: the configuration that it was built from.
        device: device of the run.
        data: the examples, with the validation part held out; only the columns of the task.
        task: the task that is trained.
        setup: relaxation, estimator and settings, as passed to the task.
        model: the model that the task built.
        temperature: the temperature of the first variable, a module.
        temperatures: those of the further variables, by name.
        steps: optimizer steps of the whole run.
        noun: what the examples are called, in the plural.
    """

    config: RunConfig
    device: torch.device
    data: Splits
    task: Task
    setup: Setup
    model: nn.Module
    temperature: Temperature
    temperatures: nn.ModuleDict
    steps: int
    noun: str = "examples"

    @property
    def relaxation(self) -> Relaxation:
        return self.setup.relaxation

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self.data.train) // self.config.batch_size)

    @property
    def further(self) -> dict[str, Temperature]:
        """The temperatures of the further variables."""
        return {name: cast(Temperature, module) for name, module in self.temperatures.items()}

    @property
    def parts(self) -> dict[str, nn.Module]:
        """The modules that are trained, by name: model, temperature and further temperatures."""
        further = {"temperatures": self.temperatures} if self.temperatures else {}
        return {"model": self.model, "temperature": self.temperature, **further}

    def set_temperatures(self, step: int) -> None:
        """Set all temperatures to those of a global step."""
        self.temperature.set_step(step)
        for temperature in self.further.values():
            temperature.set_step(step)

    def now(self, generator: torch.Generator, scheduled: Mapping[str, float | Tensor]) -> Step:
        """Return the current step, as passed to the task."""
        further = {name: temperature() for name, temperature in self.further.items()}
        return Step(self.temperature(), generator, further, scheduled)

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of a step: peak rate times warm-up times decay."""
        settings = self.config.optimizer
        decay = cosine_decay(step, self.steps) if settings.schedule == "cosine" else 1.0
        return settings.lr * decay * ramp(step + 1, settings.warmup * self.steps)

    def schedules(self, step: int) -> dict[str, float]:
        """Return the task's schedules at a step."""
        return dict(self.task.schedules(step, self.steps))

    def noise_generator(self) -> torch.Generator:
        """Return the generator of the run's noise, in its initial state."""
        return torch.Generator(self.device).manual_seed(derive(self.config.seed, "noise"))

    def order(self, epoch: int) -> Tensor:
        """Return the order of the training examples ``[N]`` in an epoch.

        It depends on seed and epoch only and is drawn on the CPU, so that it is the same on every
        device and after a restart.
        """
        generator = torch.Generator().manual_seed(derive(self.config.seed, "order", epoch))
        return torch.randperm(len(self.data.train), generator=generator).to(self.device)

    def evaluate(self, name: PartName, seed: int) -> dict[str, float]:
        """Evaluate the model on a held-out part; return the metrics by their full names."""
        with evaluation_mode(self.model):
            metrics = self.task.evaluate(self.setup, self.model, self.data.part(name), seed)
        return {f"{name}_{metric}": value for metric, value in metrics.items()}

    def draw(self, rows: Sequence[Row], directory: Path) -> None:
        """Write the figures of a run. A figure that cannot be drawn does not end the run."""
        with errors_as_warnings(), evaluation_mode(self.model):
            self.task.draw(self.setup, self.model, self.data, rows, directory)


@contextlib.contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Context without gradients and in evaluation mode; the model's former mode is restored."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


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
