"""A trained run as an object: its model, metrics and figures, and what its task can do with it."""

from __future__ import annotations

import html
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from relaxit.api.given import Given, NoStructure
from relaxit.api.notebook import Figures, Rows, html_table
from relaxit.data import Examples, PartName
from relaxit.environment import choose_device
from relaxit.errors import CheckpointError
from relaxit.estimators import Pathwise
from relaxit.relaxation import RelaxedDistribution
from relaxit.training import Experiment, Row, RunConfig, Setup, Step, Task, evaluation_mode
from relaxit.training.runs import RunDirectory, load_model, open_model, open_run

__all__ = ["Run", "load_run"]


class Run:
    """A run that was trained: by :func:`relaxit.train`, :func:`relaxit.fit` or ``relaxit train``.

    In a notebook it is shown as its settings and last metrics.

    Attributes:
        path: its directory; None if it was trained without files.
        config: its complete configuration.
        task: the task that was trained.
        setup: relaxation, estimator and settings, as passed to the task.
        model: the trained model, in evaluation mode.
        metrics: rows by epoch; ``metrics.to_pandas()`` is a DataFrame.

    Example:
        >>> import relaxit, tempfile
        >>> quick = {"epochs": 1, "batch_size": 300, "device": "cpu", "progress": False}
        >>> with tempfile.TemporaryDirectory() as place:
        ...     run = relaxit.train("categorical-vae", out=f"{place}/run", **quick)
        ...     codes = run.encode(torch.rand(5, 8, 8)).discrete.mode
        ...     images = run.decode(codes)
        >>> codes.shape, images.shape, run.sample(3).shape
        (torch.Size([5, 12, 10]), torch.Size([5, 8, 8]), torch.Size([3, 8, 8]))
    """

    def __init__(
        self,
        config: RunConfig,
        task: Task,
        setup: Setup,
        model: nn.Module,
        rows: list[Row],
        path: Path | None = None,
        experiment: Experiment | None = None,
    ) -> None:
        self.config, self.task, self.setup, self.path = config, task, setup, path
        self.model = model.eval()
        self.metrics = Rows(rows)
        self._experiment = experiment

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        tensors = (*self.model.parameters(), *self.model.buffers())
        return tensors[0].device if tensors else torch.device("cpu")

    @cached_property
    def experiment(self) -> Experiment:
        """The run with its data set, which is loaded when it is first needed.

        Raises:
            DataError: if the data set is missing.
        """
        if self._experiment is not None:
            return self._experiment
        if self.path is None:
            raise CheckpointError("this run was trained without a directory, and has no data set")
        experiment = open_run(self.path, str(self.device))
        self.model = experiment.model
        return experiment

    @property
    def figures(self) -> Figures:
        """The figures of the run directory by name, shown inline in a notebook."""
        names = self.task.files if self.path else ()
        paths = {name: self.path / name for name in names if self.path}
        return Figures({name: path for name, path in paths.items() if path.is_file()})

    def encode(
        self, inputs: Tensor, temperature: float | Tensor | None = None
    ) -> RelaxedDistribution:
        """Return the distribution of the discrete variables of inputs ``[B, *shape]``.

        ``run.encode(x).discrete.mode`` are the most likely values.

        Args:
            inputs: inputs as the task sees them, such as images in [0, 1].
            temperature: temperature of soft samples; that of the last epoch if absent.

        Raises:
            Unsupported: if the task has no encoder.
        """
        if temperature is None:
            last = self.metrics[-1] if self.metrics else {}
            temperature = last.get("temperature", self.config.temperature.initial)
        with evaluation_mode(self.model):
            params = self.task.encode(self.setup, self.model, inputs.to(self.device))
        return self.setup.distribution(params, temperature)

    def decode(self, z: Tensor) -> Tensor:
        """Return inputs ``[B, *shape]`` decoded from values of the variables.

        Raises:
            Unsupported: if the task has no decoder.
        """
        with evaluation_mode(self.model):
            return self.task.decode(self.setup, self.model, z.to(self.device))

    def sample(self, count: int = 64, seed: int = 0) -> Tensor:
        """Return inputs ``[count, *shape]`` that are sampled from the prior.

        Raises:
            Unsupported: if the task has no generative model.
        """
        with evaluation_mode(self.model):
            return self.task.sample_prior(self.setup, self.model, count, seed)

    def evaluate(
        self, part: PartName = "test", seed: int = 0, importance_samples: int = 0
    ) -> dict[str, float]:
        """Evaluate the model on a part of its data set; return metrics by name.

        Args:
            part: ``train``, ``validation`` or ``test``.
            seed: seed of the noise.
            importance_samples: samples per example of the importance-weighted bound; 0 leaves it
                out.

        Raises:
            DataError: if the data set is missing.
            Unsupported: if a bound is requested, and the task has no likelihood.
        """
        e = self.experiment
        metrics = e.evaluate(part, seed)
        if importance_samples:
            with evaluation_mode(e.model):
                metrics[f"{part}_importance_weighted_bound"] = e.task.importance_weighted_bound(
                    e.setup, e.model, e.data.part(part), importance_samples, seed, lambda done: None
                )
        return metrics

    def __repr__(self) -> str:
        where = f", path={str(self.path)!r}" if self.path else ""
        return f"Run({self.title!r}{where})"

    @property
    def title(self) -> str:
        """Task, relaxation, estimator, data set and number of epochs, in one line."""
        config = self.config
        return (
            f"{self.task.name}: {config.latents} x {self.setup.relaxation!r} by "
            f"{config.estimator.name} on {config.data.name}, {len(self.metrics)} epochs"
        )

    def to_html(self) -> str:
        """Return what a notebook shows: the settings, and the last metrics by part of the data."""
        last = self.metrics[-1] if self.metrics else {}
        parts = [p for p in ("train", "validation", "test") if any(k.startswith(p) for k in last)]
        table = [
            {"": part}
            | {
                heading: last[f"{part}_{metric}"]
                for metric, heading in self.task.display.columns.items()
                if f"{part}_{metric}" in last
            }
            for part in parts
        ]
        return f"<p>{html.escape(self.title)}</p>{html_table(table)}"

    _repr_html_ = to_html


def load_run(path: str | Path, device: str = "auto", model: nn.Module | None = None) -> Run:
    """Load a run from its directory. Its data set is read only if :meth:`Run.evaluate` is called.

    Args:
        path: run directory.
        device: device of the model.
        model: module of the same architecture, for a run of :func:`relaxit.fit`.

    Raises:
        CheckpointError: if this is not a run directory, or its files are damaged.
        PluginError: if a plugin is missing, naming the one to install.
    """
    directory = RunDirectory(Path(path))
    rows: list[Row] = [*directory.read_metrics()]
    if model is not None:
        config = directory.read_config(own_module=True)
        load_model(model, directory.model_file)
        task, setup = Given(_no_loss, {}, lambda: torch.ones(())), Setup(NoStructure(), Pathwise())
        return Run(config, task, setup, model.to(choose_device(device)), rows, directory.path)
    loaded = open_model(directory.path, device)
    config = directory.read_config()
    return Run(config, loaded.task, loaded.setup, loaded.model, rows, directory.path)


def _no_loss(model: nn.Module, batch: Examples, step: Step) -> Tensor:
    raise CheckpointError("a run that was loaded has no loss; call relaxit.fit to continue it")
