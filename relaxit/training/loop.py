"""The training loop: plain PyTorch with the data on the device, independent of the task."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from relaxit.data import Part
from relaxit.errors import CheckpointError, ConfigurationError, DivergenceError, one_line
from relaxit.training.callbacks import Callback, SilentCallback
from relaxit.training.divergence import DivergenceGuard
from relaxit.training.engines import Engine
from relaxit.training.engines.engine import choose
from relaxit.training.experiment import Experiment
from relaxit.training.metrics import mean_metrics, metrics_row
from relaxit.training.optimizer import (
    build_optimizer,
    decayed_parameters,
    load_plain_state,
    plain_state,
)
from relaxit.training.precision import matmuls
from relaxit.training.preflight import require_temperature_gradient
from relaxit.training.runs import RunDirectory, Tracker, load_state, save_model, save_state
from relaxit.training.seeds import derive
from relaxit.training.step import State
from relaxit.training.stopping import StopRequest
from relaxit.training.task import Row

__all__ = ["REPORT_SECONDS", "SAVE_SECONDS", "Outcome", "Trainer", "train"]

SAVE_SECONDS = 30.0
"""Shortest time between two saved states; a state is saved at the end of an epoch."""
REPORT_SECONDS = 0.2
"""Shortest time between two calls of ``Callback.step``."""


@dataclass(frozen=True)
class Outcome:
    """Result of a run: metrics of each epoch, and exit code 0, 130 (Ctrl-C) or 143 (SIGTERM)."""

    rows: list[Row]
    exit_code: int


@dataclass
class Trainer:
    """The state of a run, and the step that advances it.

    ``totals`` holds sums over the examples of this epoch: the loss, the metrics of the task, and
    the number of examples. It stays on the device and is read only when metrics are requested.
    """

    experiment: Experiment
    epoch: int = 0
    position: int = 0  # number of finished batches of this epoch
    step: int = 0
    seconds: float = 0.0  # time spent in this epoch
    optimizer: torch.optim.Optimizer = field(init=False)
    generator: torch.Generator = field(init=False)
    train: Part = field(init=False)
    totals: Tensor = field(init=False)
    guard: DivergenceGuard = field(init=False)
    state: State = field(init=False)
    engine: Engine = field(init=False)

    def __post_init__(self) -> None:
        e, device = self.experiment, self.experiment.device
        weights, tau = list(e.model.parameters()), list(e.temperature.parameters())
        decaying = decayed_parameters(e.model)
        exempt = [weight for weight in weights if not any(weight is other for other in decaying)]
        name, _ = choose(e)
        self.optimizer = build_optimizer(
            e.config.optimizer, decaying, [*exempt, *tau], capturable=name == "graph"
        )
        self.generator = e.noise_generator()
        self.train = e.images.part("train", e.task.needs_labels)
        self.totals = torch.zeros(2 + len(e.task.metrics), device=device)
        self.guard = DivergenceGuard([*weights, *tau], device)
        self.state = State(
            experiment=e,
            train=self.train,
            optimizer=self.optimizer,
            generator=self.generator,
            kl_weight=torch.ones((), device=device),
            totals=self.totals,
            guard=self.guard,
            source=self.generator,
        )
        self.engine = Engine(self.state)

    def train_step(self, index: Tensor) -> None:
        """Perform one update on the training images at ``index``, ``[B]`` int64 on the device.

        Raises:
            DivergenceError: on the CPU, if the loss is not finite; on other devices only at the
                end of the epoch, so that no step synchronises.
        """
        e = self.experiment
        self.state.move_to(self.step)
        with matmuls(e.config.precision, e.device):
            self.engine(index)
        if self.step == 0 and self.engine.name != "graph":  # which checked it when recording
            require_temperature_gradient(e, e.temperature.parameters())
        if e.device.type == "cpu":
            self.guard.settle()
        self.step += 1
        self.position += 1

    def run_epoch(self, report: Callback, stop: StopRequest) -> bool:
        """Train to the end of the epoch, or until a stop is requested.

        Returns:
            Whether the epoch is finished.
        """
        e, size = self.experiment, self.experiment.config.batch_size
        order = e.order(self.epoch)
        began = last_report = time.perf_counter()
        seen, first = 0, self.engine.seconds is None
        for start in range(self.position * size, len(order), size):
            index = order[start : start + size]
            self.train_step(index)
            if first and self.engine.seconds is not None:
                report.ready(self.engine.name, self.engine.reason, self.engine.seconds)
                first = False
                more = start + size < len(order)
                if self.engine.name != "eager" and more:  # setup was reported above, exclude it
                    began = time.perf_counter()
            seen += len(index)
            if (now := time.perf_counter()) - last_report > REPORT_SECONDS:
                report.step(seen, self.means())
                seen, last_report = 0, now
            if stop:
                break
        self.guard.check_weights(self.step)
        self.seconds += time.perf_counter() - began
        return self.position == e.steps_per_epoch

    def means(self) -> dict[str, float]:
        """Return loss and training metrics of this epoch so far. Synchronises the device."""
        return mean_metrics(self.experiment.task, self.totals.tolist())

    def summary(self, finished: bool, evaluate: bool = True) -> dict[str, float | int]:
        """Return the metrics of the epoch, with those of the held-out parts if requested."""
        totals = self.totals.tolist()
        row = metrics_row(self.experiment, self.epoch + 1, self.step, totals, evaluate)
        row["seconds"] = self.seconds
        row["images_per_second"] = self.images_done / self.seconds
        return row if finished else {**row, "partial": 1}

    @property
    def images_done(self) -> int:
        """Number of training images processed in this epoch."""
        return min(self.position * self.experiment.config.batch_size, len(self.train))

    def next_epoch(self) -> None:
        """Begin the next epoch."""
        self.epoch += 1
        self.position = 0
        self.seconds = 0.0
        self.totals.zero_()

    def state_dict(self) -> dict[str, Any]:
        """Return all that is needed to continue this run exactly, as tensors and plain values."""
        e = self.experiment
        return {
            "model": e.model.state_dict(),
            "temperature": e.temperature.state_dict(),
            "optimizer": plain_state(self.optimizer),
            "generator": self.generator.get_state(),
            "device": e.device.type,
            "totals": self.totals,
            **{key: getattr(self, key) for key in ("epoch", "position", "step", "seconds")},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state.

        Raises:
            CheckpointError: if the state does not fit the architecture of this run.
        """
        try:
            self.experiment.model.load_state_dict(state["model"])
            self.experiment.temperature.load_state_dict(state["temperature"])
            load_plain_state(self.optimizer, state["optimizer"])
            self.totals.copy_(state["totals"])
            for key in ("epoch", "position", "step", "seconds"):
                setattr(self, key, state[key])
            self._restore_noise(state["generator"], state["device"])
            self.guard.trust(self.step)
            self.engine = Engine(self.state)  # a recording refers to the former moments
        except (KeyError, RuntimeError, ValueError) as error:
            raise CheckpointError(
                f"the saved state does not fit this run: {one_line(error)}"
            ) from error

    def _restore_noise(self, state: Tensor, device: str) -> None:
        """Restore the generator; on another type of device its state is invalid: seed it anew."""
        e = self.experiment
        if device == e.device.type:
            self.generator.set_state(state)
            return
        self.generator.manual_seed(derive(e.config.seed, "noise", self.step))
        warnings.warn(f"moved from {device} to {e.device.type}: the noise differs", stacklevel=2)


def train(
    experiment: Experiment, run: RunDirectory, report: Callback | None = None, resume: bool = False
) -> Outcome:
    """Train to the last epoch or until a signal; the run directory is complete in both cases.

    Args:
        experiment: the experiment, from :func:`relaxit.training.experiment.build`.
        run: the run directory, which must exist.
        report: callback that is notified of progress.
        resume: whether to continue from the saved state.

    Raises:
        DivergenceError: if the loss is not finite; the last good weights are saved first.
        CheckpointError: if a file cannot be written, or the state to resume from does not fit.
        ConfigurationError: if the run already has more epochs than configured.
    """
    report = report or SilentCallback()
    trainer = Trainer(experiment)
    rows = _continue(trainer, run) if resume else []
    saved = time.monotonic()
    with StopRequest() as stop, Tracker(run) as tracker:
        try:
            while trainer.epoch < experiment.config.epochs and not stop:
                finished = trainer.run_epoch(report, stop)
                rows.append(trainer.summary(finished))
                tracker.log(rows)
                report.epoch(rows[-1])
                if finished:
                    trainer.next_epoch()
                if time.monotonic() - saved > SAVE_SECONDS:
                    tracker.flush()
                    _save(trainer, run)
                    saved = time.monotonic()
        except DivergenceError:
            save_model(experiment.model, run.model_file)
            experiment.draw(rows, run.path)
            raise
        tracker.flush()
        _save(trainer, run)
        experiment.draw(rows, run.path)
    unfinished = trainer.epoch < experiment.config.epochs
    return Outcome(rows, stop.exit_code if unfinished else 0)


def _continue(trainer: Trainer, run: RunDirectory) -> list[Row]:
    """Restore a trainer from its run directory; return the metrics of the finished epochs."""
    trainer.load_state_dict(load_state(run.state_file))
    e = trainer.experiment
    if trainer.epoch > e.config.epochs:
        raise ConfigurationError(
            f"{run.path} has {trainer.epoch} finished epochs; --epochs must not be smaller"
        )
    run.write_config(
        e.config, e.images.format
    )  # only now, so that a state that does not fit changes nothing
    return [row for row in run.read_metrics() if row["epoch"] <= trainer.epoch]


def _save(trainer: Trainer, run: RunDirectory) -> None:
    save_model(trainer.experiment.model, run.model_file)
    save_state(trainer.state_dict(), run.state_file)
