"""The fourth extension point: the task, which is what is trained around a relaxation.

The trainer handles the order of the images, the temperature, the optimiser, checkpoints and
metrics. A task defines the model, the loss of a step and the evaluation. A task object holds its
options and nothing else; what changes during a run is stored in the model or passed as an argument.
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

from relaxit.aliases import Generator
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
"""Name of the submodule that holds the estimator's state, for estimators that have one."""


@dataclass(frozen=True)
class Setup:
    """Relaxation, estimator and settings that a task is given, fixed for a run.

    Attributes:
        relaxation: the discrete structure.
        estimator: the gradient estimator for its samples.
        latents: number of latent variables.
        batch_size: images per step.
        binarise: how grey levels are read.
        objective: settings of the KL term, for tasks that have one.
        networks: widths and initialisation of the networks.
        seed: seed of the run.
        precision: precision of the networks' matmuls in training, see :meth:`products`.
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
        """Shape of the parameters of all variables, ``[latents, *param_shape]``."""
        return torch.Size((self.latents, *self.relaxation.param_shape))

    def distribution(
        self, params: Tensor, temperature: float | Tensor = 1.0
    ) -> RelaxedDistribution:
        """Return the relaxed distribution, without checks of values, which synchronise a GPU."""
        return self.relaxation(params, temperature, validate_args=False)

    def products(self, device: torch.device) -> AbstractContextManager[None]:
        """Return the autocast context for the networks of a training step, and nothing else.

        Its outputs may be bfloat16: params of a distribution and terms of a loss must be cast back
        to float32. A task that uses this context declares it, see :attr:`Task.autocasts`.
        """
        return autocast(self.precision, device)

    def surrogate(
        self, model: nn.Module, q: RelaxedDistribution, cost: Cost, generator: Generator = None
    ) -> Tensor:
        """Return costs of a sample with the estimator's gradient, using its state in the model."""
        state = getattr(model, ESTIMATOR_STATE, None)
        return surrogate_with(state, self.estimator, q, cost, generator)

    def read(self, part: Part, generator: Generator = None) -> Tensor:
        """Return stored images as numbers in [0, 1], ``[B, P]`` float32."""
        return read_batch(part.images, part.levels, self.binarise, generator)


@dataclass(frozen=True, slots=True)
class Step:
    """Temperature, KL weight and generator of the current step.

    Attributes:
        temperature: current temperature, a 0-dim tensor on the device.
        kl_weight: weight of the KL term, 1 after its warm-up; a number or a 0-dim tensor.
        generator: the only source of randomness, so that a run can be repeated and resumed.
    """

    temperature: Tensor
    kl_weight: float | Tensor
    generator: torch.Generator


@dataclass(frozen=True, slots=True)
class Terms:
    """Loss and metrics of one step.

    Attributes:
        loss: ``[E]``, one per example, with gradient; its mean is minimised. An example is one
            image, unless the task combines several.
        metrics: ``[E]`` each, without gradient: those named by :attr:`Task.metrics`, in that
            order.
    """

    loss: Tensor
    metrics: Mapping[str, Tensor] = field(default_factory=dict)


class _Shown(dict[str, float | int]):
    def __missing__(self, key: str) -> float:
        return float("nan")  # not a metric of this run: a missing number must not end the training


@dataclass(frozen=True)
class Display:
    """How metrics are displayed: :meth:`str.format` templates that are filled from a row.

    Attributes:
        bar: template of the text beside the progress bar, filled with running means of the epoch.
        line: template of the line printed for each epoch.
        title: template of the title of the final table, which follows "after epoch N, ".
        columns: columns of the final table: metric names without ``train_`` or ``test_``, and
            their headings.
        unit: title of the table that ``relaxit evaluate`` prints.
        decimals: number of decimals in tables.

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
            self.fill(template, {})  # a faulty template fails here, not in the middle of a run

    def fill(self, template: str, row: Row) -> str:
        """Fill a template with the metrics of a row; a missing metric is shown as nan."""
        return template.format_map(_Shown(row))


class Task(Configured, ABC):
    """What is trained around a relaxation. A plugin implements the abstract methods.

    Gradients are disabled and the model is in evaluation mode in all methods except :meth:`build`,
    :meth:`prepare` and :meth:`terms`.

    Attributes:
        needs_labels: whether training needs labels; if so, data sets without labels are rejected.
        has_kl: whether the loss has a KL term; if not, settings of the KL term are rejected.
        autocasts: whether the networks run under :meth:`Setup.products`; if not, the precision
            bfloat16 is rejected.
        metrics: names of the per-example metrics of a step.
        files: names of the figures that :meth:`draw` writes.
        display: how the metrics are displayed.
    """

    kind: ClassVar[str] = "task"
    needs_labels: ClassVar[bool] = False
    has_kl: ClassVar[bool] = False
    autocasts: ClassVar[bool] = False
    metrics: ClassVar[tuple[str, ...]] = ()
    files: ClassVar[tuple[str, ...]] = ("curves.png",)
    display: ClassVar[Display] = Display()

    def check(self, setup: Setup) -> None:
        """Reject a relaxation, estimator or setting that does not fit, before data is loaded.

        Raises:
            ConfigurationError, Unsupported: naming what does not fit and what would.
        """
        setup.estimator.check(setup.relaxation)

    @abstractmethod
    def statement(self, setup: Setup) -> str:
        """Return what is minimised, as a phrase that follows "minimises the"."""

    @abstractmethod
    def build(self, setup: Setup, image_format: Format) -> nn.Module:
        """Return the model with its initial weights, on the CPU.

        torch's global generator is seeded for this call only.

        Raises:
            ConfigurationError: if the image size or the number of classes does not fit.
        """

    def prepare(self, setup: Setup, model: nn.Module, images: Images) -> None:
        """Fit the initial weights to the training images, once, on the CPU. A no-op by default.

        Raises:
            ConfigurationError: if the data set does not fit.
        """
        del setup, model, images

    @abstractmethod
    def terms(self, setup: Setup, model: nn.Module, batch: Part, step: Step) -> Terms:
        """Compute loss and metrics of one step.

        Args:
            setup: settings that are fixed for the run.
            model: the model that :meth:`build` returned.
            batch: stored images ``[B, P]``, with labels ``[B]`` if they are needed.
            step: temperature, weight of the KL term and generator.
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
    def evaluate(self, setup: Setup, model: nn.Module, part: Part, seed: int) -> dict[str, float]:
        """Evaluate the model on held-out images.

        Args:
            setup: settings that are fixed for the run.
            model: the model that :meth:`build` returned.
            part: validation or test images, with labels if they are needed.
            seed: seed of the noise; with the same seed, epochs differ by their weights only.

        Returns:
            Metrics by name. In the metrics of a run each name is prefixed with ``validation_`` or
            ``test_``.
        """

    def draw(
        self, setup: Setup, model: nn.Module, images: Images, rows: Sequence[Row], directory: Path
    ) -> None:
        """Write :attr:`files` into a run directory. Curves of the metrics by default.

        Args:
            setup: settings that are fixed for the run.
            model: the model that :meth:`build` returned.
            images: all images, on the model's device.
            rows: metrics of the epochs so far; may be empty if the run ended early.
            directory: the run directory.
        """
        del setup, model, images
        if rows:
            figures.draw_curves(figures.panels(rows), rows, directory / "curves.png")

    def sample_prior(self, setup: Setup, model: nn.Module, count: int, seed: int) -> Tensor:
        """Sample images ``[count, P]`` in [0, 1] from the prior of a generative model.

        Raises:
            Unsupported: if the task has no generative model.
        """
        del setup, model, count, seed
        self._absent("images to sample: it has no prior over images")

    def importance_weighted_bound(
        self,
        setup: Setup,
        model: nn.Module,
        part: Part,
        samples: int,
        seed: int,
        progress: Callable[[int], object],
    ) -> float:
        """Estimate a lower bound on the mean log-likelihood of images, in nats.

        Args:
            setup: settings that are fixed for the run.
            model: the model that :meth:`build` returned.
            part: the images.
            samples: importance samples per image.
            seed: seed of the samples.
            progress: called with the number of images that are done.

        Raises:
            Unsupported: if the task has no generative model.
        """
        del setup, model, part, samples, seed, progress
        self._absent("importance-weighted bound: it has no likelihood of images")

    def _absent(self, what: str) -> NoReturn:
        raise Unsupported(f"task {self.name!r} has no {what}")
