"""The fourth extension point: what is trained around a relaxation.

The trainer knows the order of the pictures, the temperature, the optimiser, checkpoints and
metrics. A task knows the model, what a step costs, and what the result is worth. It is its options
and nothing else; what changes during a run lives in the model, or comes in as an argument.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NoReturn

import torch
from torch import Tensor, nn

from relaxit.data import Binarise, Format, Images, Part, read_batch
from relaxit.errors import Unsupported
from relaxit.estimators import Cost, Estimator, surrogate_with
from relaxit.options import Configured
from relaxit.relaxation import Relaxation, RelaxedDistribution
from relaxit.training import figures
from relaxit.training.config import ModelConfig, ObjectiveConfig
from relaxit.training.precision import Precision, autocast

__all__ = ["ESTIMATOR_STATE", "Display", "Setup", "Step", "Task", "Terms"]

Row = Mapping[str, float | int]

ESTIMATOR_STATE = "estimator_state"
"""Name of the model's part that belongs to the estimator, if that keeps anything."""


@dataclass(frozen=True)
class Setup:
    """What a task finds around it, fixed for a run.

    Attributes:
        relaxation: the discrete structure.
        estimator: how the gradient crosses its sample.
        latents: number of variables.
        batch_size: pictures a step.
        binarise: how pictures are read.
        objective: settings of the KL term, for tasks that have one.
        networks: widths and initialisation of the networks.
        seed: of the run.
        precision: of the matrix products of the networks in training, see :meth:`products`.
    """

    relaxation: Relaxation
    estimator: Estimator
    latents: int
    batch_size: int = 100
    binarise: Binarise = "none"
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    networks: ModelConfig = field(default_factory=ModelConfig)
    seed: int = 0
    precision: Precision = "float32"

    @property
    def params_shape(self) -> torch.Size:
        """``[latents, *param_shape]``: the parameters of all variables."""
        return torch.Size((self.latents, *self.relaxation.param_shape))

    def distribution(
        self, params: Tensor, temperature: float | Tensor = 1.0
    ) -> RelaxedDistribution:
        """The law of the variables, without checks of values, which would stop a GPU."""
        return self.relaxation(params, temperature, validate_args=False)

    def products(self, device: torch.device) -> AbstractContextManager[None]:
        """Context for the networks of a training step, and nothing else.

        What comes out of it may be bfloat16: params of a law and terms of a loss are to be cast
        back to float32. A task that uses it says so, see :attr:`Task.autocasts`.
        """
        return autocast(self.precision, device)

    def surrogate(
        self,
        model: nn.Module,
        q: RelaxedDistribution,
        cost: Cost,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Costs of a sample with the estimator's gradient, and with what it keeps in the model."""
        state = getattr(model, ESTIMATOR_STATE, None)
        return surrogate_with(state, self.estimator, q, cost, generator)

    def read(self, part: Part, generator: torch.Generator | None = None) -> Tensor:
        """Stored pictures as numbers in [0, 1], ``[B, P]`` float32."""
        return read_batch(part.images, part.levels, self.binarise, generator)


@dataclass(frozen=True, slots=True)
class Step:
    """Where a run stands.

    Attributes:
        temperature: 0-dim tensor on the device.
        kl_weight: factor of the KL term, 1 after its warm-up; a number or a 0-dim tensor.
        generator: the only source of randomness, so that a run can be repeated and resumed.
    """

    temperature: Tensor
    kl_weight: float | Tensor
    generator: torch.Generator


@dataclass(frozen=True, slots=True)
class Terms:
    """What one step costs.

    Attributes:
        loss: ``[E]``, one an example, with gradient; its mean is minimised. An example is a
            picture, unless the task joins several.
        metrics: ``[E]`` each, without gradient: those that :attr:`Task.metrics` names, in that
            order.
    """

    loss: Tensor
    metrics: Mapping[str, Tensor] = field(default_factory=dict)


class _Shown(dict[str, float | int]):
    def __missing__(self, key: str) -> float:
        return float("nan")  # no metric of this run: a gap in a line must not end the training


@dataclass(frozen=True)
class Display:
    """How a person sees the metrics: templates for :meth:`str.format` over a row of them.

    Attributes:
        bar: beside the progress bar, from the running means of the epoch.
        line: for each epoch.
        title: of the last table, after "after epoch N, ".
        columns: metrics of the last table without their ``train_`` or ``test_``, each with its
            heading.
        unit: title of the table of ``relaxit evaluate``.
        decimals: of the numbers in tables.

    Example:
        >>> shown = Display(line="accuracy {test_accuracy:.1%}")
        >>> shown.fill(shown.line, {"epoch": 1, "test_accuracy": 0.93})
        'accuracy 93.0%'
    """

    bar: str = "loss {train_loss:.4f}"
    line: str = "loss {train_loss:.4f}"
    title: str = "training loss {train_loss:.4f}"
    columns: Mapping[str, str] = field(default_factory=dict)
    unit: str = ""
    decimals: int = 4

    def __post_init__(self) -> None:
        for template in (self.bar, self.line, self.title):
            self.fill(template, {})  # a template that cannot be filled shows here, not in mid-run

    def fill(self, template: str, row: Row) -> str:
        """A template with the metrics of a row; one that is not there is shown as nan."""
        return template.format_map(_Shown(row))


class Task(Configured, ABC):
    """What is trained around a relaxation. A plugin writes the five abstract members.

    Gradients are off and the model is in evaluation mode in all members but :meth:`build`,
    :meth:`prepare` and :meth:`terms`.

    Attributes:
        needs_labels: whether it is trained with labels; a data set without them is then refused.
        has_kl: whether the loss has a KL term. If not, settings of it are refused.
        autocasts: whether its networks run under :meth:`Setup.products`. If not, the precision
            bfloat16 is refused.
        metrics: names of the per-example metrics of a step.
        files: names of the pictures that :meth:`draw` writes.
        display: how a person sees the metrics.
    """

    kind: ClassVar[str] = "task"
    needs_labels: ClassVar[bool] = False
    has_kl: ClassVar[bool] = False
    autocasts: ClassVar[bool] = False
    metrics: ClassVar[tuple[str, ...]] = ()
    files: ClassVar[tuple[str, ...]] = ("curves.png",)
    display: ClassVar[Display] = Display()

    def check(self, setup: Setup) -> None:
        """Refuse a relaxation, estimator or setting that does not fit, before data is loaded.

        Raises:
            ConfigurationError, Unsupported: naming what does not fit and what would.
        """
        setup.estimator.check(setup.relaxation)

    @abstractmethod
    def statement(self, setup: Setup) -> str:
        """What is minimised, to stand after "minimises the"."""

    @abstractmethod
    def build(self, setup: Setup, image_format: Format) -> nn.Module:
        """The model with its first weights, on the CPU.

        torch's global generator is seeded for this call alone.

        Raises:
            ConfigurationError: if the data set does not fit: its size, or number of classes.
        """

    def prepare(self, setup: Setup, model: nn.Module, images: Images) -> None:
        """Fit the first weights to the training pictures, once, on the CPU. Nothing by default.

        Raises:
            ConfigurationError: if the data set does not fit.
        """
        del setup, model, images

    @abstractmethod
    def terms(self, setup: Setup, model: nn.Module, batch: Part, step: Step) -> Terms:
        """The cost of one step.

        Args:
            setup: what is fixed for the run.
            model: what :meth:`build` made.
            batch: stored pictures ``[B, P]``, with labels ``[B]`` if they are needed.
            step: temperature, weight of the KL term, generator.
        """

    def summarise(self, sums: Mapping[str, float], examples: float) -> dict[str, float]:
        """Metrics of an epoch from the sums of :attr:`metrics` over its examples; their means.

        In the metrics of a run each name begins with ``train_``.
        """
        return {name: total / examples for name, total in sums.items()}

    @abstractmethod
    def evaluate(self, setup: Setup, model: nn.Module, part: Part, seed: int) -> dict[str, float]:
        """What the model is worth on held-out pictures.

        Args:
            setup: what is fixed for the run.
            model: what :meth:`build` made.
            part: the validation or the test pictures, with labels if they are needed.
            seed: the same one gives the same noise, so that epochs differ by their weights only.

        Returns:
            Metrics by name. In those of a run each name begins with ``validation_`` or ``test_``.
        """

    def draw(
        self, setup: Setup, model: nn.Module, images: Images, rows: Sequence[Row], directory: Path
    ) -> None:
        """Write :attr:`files` into a run's folder. Curves of the metrics by default.

        Args:
            setup: what is fixed for the run.
            model: what :meth:`build` made.
            images: all pictures, on the model's device.
            rows: metrics of the epochs so far; none if the run was stopped before the first.
            directory: the run directory.
        """
        del setup, model, images
        if rows:
            figures.draw_curves(figures.panels(rows), rows, directory / "curves.png")

    def sample_prior(self, setup: Setup, model: nn.Module, count: int, seed: int) -> Tensor:
        """Pictures ``[count, P]`` in [0, 1], for tasks with a generative model.

        Raises:
            Unsupported: if there is none.
        """
        del setup, model, count, seed
        self._absent("pictures to sample: it has no prior over them")

    def importance_weighted_bound(
        self,
        setup: Setup,
        model: nn.Module,
        part: Part,
        samples: int,
        seed: int,
        progress: Callable[[int], object],
    ) -> float:
        """A bound on the mean log-likelihood of pictures in nats, for generative models.

        Args:
            setup: what is fixed for the run.
            model: what :meth:`build` made.
            part: the pictures.
            samples: importance samples a picture.
            seed: of the samples.
            progress: called with the number of pictures done.

        Raises:
            Unsupported: if there is none.
        """
        del setup, model, part, samples, seed, progress
        self._absent("importance-weighted bound: it has no likelihood of pictures")

    def _absent(self, what: str) -> NoReturn:
        raise Unsupported(f"task {self.name!r} has no {what}")
