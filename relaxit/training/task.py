"""The fourth extension point: the task, which is what is trained around a relaxation.

The trainer handles the data, the temperatures, the optimizer, checkpoints and metrics. A task
defines the model, the loss of a step and the evaluation. A task object holds its options and
nothing else; what changes during a run is stored in the model or passed as an argument.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import torch
from torch import Tensor, nn

from relaxit.data import Examples, Format, Requirement, Splits
from relaxit.errors import Unsupported
from relaxit.options import Configured
from relaxit.training import figures
from relaxit.training.display import Display, Row
from relaxit.training.setup import Setup

__all__ = ["Step", "Task", "Terms"]


@dataclass(frozen=True, slots=True)
class Step:
    """Temperatures, schedules and generator of the current step.

    Attributes:
        temperature: current temperature of the first variable, a 0-dim tensor on the device.
        generator: the only source of randomness, so that a run can be repeated and resumed.
        temperatures: those of the further variables, by name.
        scheduled: current values of :meth:`Task.schedules`, numbers or 0-dim tensors.
    """

    temperature: Tensor
    generator: torch.Generator
    temperatures: Mapping[str, Tensor] = field(default_factory=dict)
    scheduled: Mapping[str, float | Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Terms:
    """Loss and metrics of one step.

    Attributes:
        loss: ``[E]``, one per example, with gradient; its mean is minimised. An example is a row
            of the batch, unless the task combines several.
        metrics: ``[E]`` each, without gradient: those named by :attr:`Task.metrics`, in that
            order.
    """

    loss: Tensor
    metrics: Mapping[str, Tensor] = field(default_factory=dict)


class Task(Configured, ABC):
    """What is trained around a relaxation. A plugin implements the abstract methods.

    Gradients are disabled and the model is in evaluation mode in all methods except :meth:`build`,
    :meth:`prepare` and :meth:`terms`.

    Attributes:
        defaults: settings of a run of this task, a table like a recipe. A recipe overrides them;
            no run has the defaults of another task.
        variables: names of further variables of the model, beside the first.
        autocasts: whether the networks run under :meth:`Setup.autocast`; if not, the precision
            bfloat16 is rejected.
        metrics: names of the per-example metrics of a step.
        files: names of the figures that :meth:`draw` writes.
        display: how the metrics are displayed.
    """

    kind: ClassVar[str] = "task"
    defaults: ClassVar[Mapping[str, Any]] = {}
    variables: ClassVar[tuple[str, ...]] = ()
    autocasts: ClassVar[bool] = False
    metrics: ClassVar[tuple[str, ...]] = ()
    files: ClassVar[tuple[str, ...]] = ("curves.png",)
    display: ClassVar[Display] = Display()

    def check(self, setup: Setup) -> None:
        """Reject a relaxation, estimator or setting that does not fit, before data is loaded.

        Raises:
            ConfigurationError, Unsupported: naming what does not fit and what would.
        """
        for variable in setup.variables.values():
            variable.estimator.check(variable.relaxation)

    def requires(self, setup: Setup) -> Mapping[str, Requirement]:
        """Return what the columns must be that this task uses. Numbers as ``inputs`` by default.

        Only these columns are passed to the other methods. The trainer checks them before the model
        is built.
        """
        del setup
        return {"inputs": Requirement()}

    @abstractmethod
    def statement(self, setup: Setup) -> str:
        """Return what is minimised, as a phrase that follows "minimises the"."""

    @abstractmethod
    def build(self, setup: Setup, format: Format) -> nn.Module:
        """Return the model with its initial weights, on the CPU.

        torch's global generator is seeded for this call only.

        Args:
            setup: settings that are fixed for the run.
            format: shape, type and number of classes of each column.

        Raises:
            ConfigurationError: if a shape or the number of classes does not fit.
        """

    def prepare(self, setup: Setup, model: nn.Module, data: Splits) -> None:
        """Fit the initial weights to the training examples, once, on the CPU. A no-op by default.

        Raises:
            ConfigurationError: if the data set does not fit.
        """
        del setup, model, data

    def schedules(self, step: int, steps: int) -> Mapping[str, float]:
        """Return weights and other numbers of the loss that change from step to step, by name.

        None by default. They are passed to :meth:`terms` and are among the metrics of a run.

        Args:
            step: global step, from 0.
            steps: optimizer steps of the whole run.
        """
        del step, steps
        return {}

    @abstractmethod
    def terms(self, setup: Setup, model: nn.Module, batch: Examples, step: Step) -> Terms:
        """Compute loss and metrics of one step.

        Args:
            setup: settings that are fixed for the run.
            model: the model that :meth:`build` returned.
            batch: the columns that :meth:`requires` names, read, ``[B, *shape]`` each.
            step: temperatures, schedules and generator.
        """

    def summarise(self, sums: Mapping[str, float], examples: float) -> dict[str, float]:
        """Compute metrics of an epoch from sums over its examples. Means by default.

        In the metrics of a run each name is prefixed with ``train_``.

        Args:
            sums: sum of each of :attr:`metrics` over the examples.
            examples: number of examples.
        """
        return {name: total / examples for name, total in sums.items()}

    @abstractmethod
    def evaluate(
        self, setup: Setup, model: nn.Module, part: Examples, seed: int
    ) -> dict[str, float]:
        """Evaluate the model on held-out examples.

        Args:
            setup: settings that are fixed for the run.
            model: the model that :meth:`build` returned.
            part: validation or test examples as stored; :meth:`Examples.batches` reads them.
            seed: seed of the noise; with the same seed, epochs differ by their weights only.

        Returns:
            Metrics by name. In the metrics of a run each name is prefixed with ``validation_`` or
            ``test_``.
        """

    def draw(
        self, setup: Setup, model: nn.Module, data: Splits, rows: Sequence[Row], directory: Path
    ) -> None:
        """Write :attr:`files` into a run directory. Curves of the metrics by default.

        Args:
            setup: settings that are fixed for the run.
            model: the model that :meth:`build` returned.
            data: all examples, on the model's device.
            rows: metrics of the epochs so far; may be empty if the run ended early.
            directory: the run directory.
        """
        del setup, model, data
        if rows:
            figures.draw_curves(figures.panels(rows), rows, directory / "curves.png")

    def encode(self, setup: Setup, model: nn.Module, inputs: Tensor) -> Tensor:
        """Return params of the discrete variables of inputs ``[B, *shape]``, as a task sees them.

        Raises:
            Unsupported: if the variables do not depend on inputs.
        """
        del setup, model, inputs
        self._absent("encoder: its variables do not depend on inputs")

    def decode(self, setup: Setup, model: nn.Module, z: Tensor) -> Tensor:
        """Return inputs ``[B, *shape]`` decoded from values of the variables.

        Raises:
            Unsupported: if the task has no decoder.
        """
        del setup, model, z
        self._absent("decoder: it does not generate inputs")

    def sample_prior(self, setup: Setup, model: nn.Module, count: int, seed: int) -> Tensor:
        """Sample inputs ``[count, *shape]`` from the prior of a generative model.

        Raises:
            Unsupported: if the task has no generative model.
        """
        del setup, model, count, seed
        self._absent("examples to sample: it has no prior over them")

    def as_text(self, values: Tensor) -> list[str] | None:
        """Return examples as texts; None by default, for examples that are not text.

        Args:
            values: examples ``[N, *shape]``, such as those of :meth:`sample_prior`.
        """
        del values
        return None

    def importance_weighted_bound(
        self,
        setup: Setup,
        model: nn.Module,
        part: Examples,
        samples: int,
        seed: int,
        progress: Callable[[int], object],
    ) -> float:
        """Estimate a lower bound on the mean log-likelihood of examples, in nats.

        Args:
            setup: settings that are fixed for the run.
            model: the model that :meth:`build` returned.
            part: the examples.
            samples: importance samples per example.
            seed: seed of the samples.
            progress: called with the number of examples that are done.

        Raises:
            Unsupported: if the task has no generative model.
        """
        del setup, model, part, samples, seed, progress
        self._absent("importance-weighted bound: it has no likelihood of examples")

    def _absent(self, what: str) -> NoReturn:
        raise Unsupported(f"task {self.name!r} has no {what}")
