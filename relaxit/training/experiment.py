"""All objects of a run, and what follows from its configuration at each step."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from relaxit.data import PartName, Splits
from relaxit.drawing import errors_as_warnings
from relaxit.errors import DataError
from relaxit.relaxation import Relaxation
from relaxit.training.config import RunConfig
from relaxit.training.display import Display, Row
from relaxit.training.schedules import cosine_decay, ramp
from relaxit.training.seeds import derive
from relaxit.training.setup import Setup
from relaxit.training.task import Step, Task
from relaxit.training.temperature import Temperature

__all__ = ["Experiment", "evaluation_mode"]


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
    def display(self) -> Display:
        """How the task displays its metrics, with the noun of the data set."""
        return self.task.display.of(self.noun)

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
        """Evaluate the model on a held-out part; return the metrics by their full names.

        Raises:
            DataError: if the part has no examples.
        """
        if not len(self.data.part(name)):
            raise DataError(f"data set {self.config.data.name!r} has no {name} {self.noun}")
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
