"""The training loop: plain PyTorch, data on the device. It knows a task, never which one."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from relaxit.data.dataset import Part
from relaxit.errors import CheckpointError, ConfigurationError, DivergenceError, ShapeError
from relaxit.schedules import cosine_decay, ramp
from relaxit.training.checkpoint import load_state, save_model, save_state
from relaxit.training.divergence import DivergenceGuard
from relaxit.training.experiment import Experiment
from relaxit.training.report import Report, Silent
from relaxit.training.rundir import RunDirectory
from relaxit.training.seeds import derive
from relaxit.training.stopping import StopRequest
from relaxit.training.task import Row, Step, Terms
from relaxit.training.tracking import Tracker

__all__ = ["Outcome", "Report", "Silent", "Trainer", "train"]

_SAVE_SECONDS = 30.0
_REPORT_SECONDS = 0.2


@dataclass(frozen=True)
class Outcome:
    """How a run ended: the metrics of each epoch, and 0, 130 (Ctrl-C) or 143 (SIGTERM)."""

    rows: list[Row]
    exit_code: int


@dataclass
class Trainer:
    """The state of a run and the one step that moves it.

    ``totals`` sums, over the examples of this epoch: the loss, the metrics of the task, and their
    number. It stays on the device and is read when someone looks.
    """

    experiment: Experiment
    epoch: int = 0
    position: int = 0  # batches of this epoch that are done
    step: int = 0
    seconds: float = 0.0  # spent in this epoch
    optimizer: torch.optim.Optimizer = field(init=False)
    generator: torch.Generator = field(init=False)
    train: Part = field(init=False)
    totals: Tensor = field(init=False)
    guard: DivergenceGuard = field(init=False)

    def __post_init__(self) -> None:
        e, device = self.experiment, self.experiment.device
        settings = e.config.optimizer
        weights, tau = list(e.model.parameters()), list(e.temperature.parameters())
        self.optimizer = torch.optim.AdamW(
            [
                {"params": weights, "weight_decay": settings.weight_decay},
                *([{"params": tau, "weight_decay": 0.0}] if tau else []),
            ],
            lr=settings.lr,
            fused=True,
        )
        self.generator = torch.Generator(device).manual_seed(derive(e.config.seed, "noise"))
        self.train = e.images.part("train", e.task.needs_labels)
        self.totals = torch.zeros(2 + len(e.task.metrics), device=device)
        self.guard = DivergenceGuard([*weights, *tau], device)

    def learning_rate(self) -> float:
        """Peak rate times warm-up times decay, at this step."""
        settings, steps = self.experiment.config.optimizer, self.experiment.steps
        decay = cosine_decay(self.step, steps) if settings.schedule == "cosine" else 1.0
        return settings.lr * decay * ramp(self.step + 1, settings.warmup * steps)

    def kl_weight(self, step: int) -> float:
        """Weight of the KL term at a step."""
        return ramp(step, self.experiment.config.objective.kl_warmup * self.experiment.steps)

    def train_step(self, batch: Part) -> None:
        """One update from stored pictures ``[B, P]``."""
        e = self.experiment
        e.temperature.set_step(self.step)
        now = Step(e.temperature(), self.kl_weight(self.step), self.generator)
        terms = e.task.terms(e.setup, e.model, batch, now)
        self._check_shapes(terms)
        loss = terms.loss.mean()
        self.guard.watch(loss, self.step)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        rate = self.learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        with torch.no_grad():
            examples = len(terms.loss)
            sums = [metric.sum() for metric in terms.metrics.values()]
            self.totals += torch.stack([loss * examples, *sums, loss.new_full((), examples)])
        self.step += 1
        self.position += 1

    def _check_shapes(self, terms: Terms) -> None:
        task, shapes = self.experiment.task, [m.shape for m in terms.metrics.values()]
        if tuple(terms.metrics) != task.metrics or {terms.loss.shape, *shapes} != {
            torch.Size([terms.loss.numel()])
        }:
            given = {key: list(m.shape) for key, m in terms.metrics.items()}
            raise ShapeError(
                f"task {task.name!r}: expected a loss [E] and metrics {list(task.metrics)} of the "
                f"same shape, got a loss of shape {list(terms.loss.shape)} and metrics {given}"
            )

    def run_epoch(self, report: Report, stop: StopRequest) -> bool:
        """Train to the end of the epoch, or until a stop is asked for. True if it was finished."""
        e, size = self.experiment, self.experiment.config.batch_size
        order = self._order()
        began, told = time.perf_counter(), 0.0
        seen = 0
        for start in range(self.position * size, len(order), size):
            index = order[start : start + size]
            self.train_step(self.train.take(index))
            seen += len(index)
            if (now := time.perf_counter()) - told > _REPORT_SECONDS:
                report.step(seen, self.means())
                seen, told = 0, now
            if stop:
                break
        self.guard.check_weights(self.step)
        self.seconds += time.perf_counter() - began
        return self.position == e.steps_per_epoch

    def _order(self) -> Tensor:
        # From seed and epoch alone, on the CPU: the same on every device and after a restart.
        seed = derive(self.experiment.config.seed, "order", self.epoch)
        generator = torch.Generator().manual_seed(seed)
        count = len(self.experiment.images.train)
        return torch.randperm(count, generator=generator).to(self.experiment.device)

    def means(self) -> dict[str, float]:
        """Loss and training metrics of this epoch so far. Waits for the device."""
        task = self.experiment.task
        loss, *sums, examples = self.totals.tolist()
        found = task.summarise(dict(zip(task.metrics, sums, strict=True)), examples)
        return {"train_loss": loss / examples, **{f"train_{k}": v for k, v in found.items()}}

    def summary(self, finished: bool) -> dict[str, float | int]:
        """Metrics of the epoch: of training, then those of the held-out parts."""
        e = self.experiment
        row: dict[str, float | int] = {
            "epoch": self.epoch + 1,
            "step": self.step,
            "temperature": float(e.temperature().detach()),
        }
        if e.task.has_kl:
            row["kl_weight"] = self.kl_weight(self.step - 1)
        row["learning_rate"] = self.optimizer.param_groups[0]["lr"]
        row.update(self.means())
        seed = derive(e.config.seed, "evaluation")
        if len(e.images.validation):
            row.update(e.evaluate("validation", seed))
        if len(e.images.test):
            row.update(e.evaluate("test", seed))
        row["seconds"] = self.seconds
        row["images_per_second"] = self.images_done / self.seconds
        return row if finished else {**row, "partial": 1}

    @property
    def images_done(self) -> int:
        """Training images of this epoch that were seen."""
        return min(self.position * self.experiment.config.batch_size, len(self.train))

    def next_epoch(self) -> None:
        """Begin the next epoch."""
        self.epoch += 1
        self.position = 0
        self.seconds = 0.0
        self.totals.zero_()

    def state_dict(self) -> dict[str, Any]:
        """Everything that continues this run exactly, as tensors and plain values."""
        e = self.experiment
        return {
            "model": e.model.state_dict(),
            "temperature": e.temperature.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "device": e.device.type,
            "totals": self.totals,
            **{key: getattr(self, key) for key in ("epoch", "position", "step", "seconds")},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state.

        Raises:
            CheckpointError: if it is of another architecture.
        """
        try:
            self.experiment.model.load_state_dict(state["model"])
            self.experiment.temperature.load_state_dict(state["temperature"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.totals.copy_(state["totals"])
            for key in ("epoch", "position", "step", "seconds"):
                setattr(self, key, state[key])
            self._restore_noise(state["generator"], state["device"])
            self.guard.trust(self.step)
        except (KeyError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise CheckpointError(f"the saved state is of another run: {reason}") from error

    def _restore_noise(self, state: Tensor, device: str) -> None:
        """A generator's state means nothing to a device of another type: there, start anew."""
        e = self.experiment
        if device == e.device.type:
            self.generator.set_state(state)
            return
        self.generator.manual_seed(derive(e.config.seed, "noise", self.step))
        warnings.warn(f"moved from {device} to {e.device.type}: the noise differs", stacklevel=2)


def train(
    experiment: Experiment, run: RunDirectory, report: Report | None = None, resume: bool = False
) -> Outcome:
    """Run to the last epoch, or to a signal, leaving a complete run directory either way.

    Args:
        experiment: what to train, from :func:`relaxit.training.experiment.build`.
        run: where to; its folder exists.
        report: who is told.
        resume: continue from the saved state.

    Raises:
        DivergenceError: after saving the last good weights.
        CheckpointError: if the disk refuses, or the state to continue from does not fit.
        ConfigurationError: if more epochs are done than the run is to have.
    """
    report = report or Silent()
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
                if time.monotonic() - saved > _SAVE_SECONDS:
                    _save(trainer, run)
                    saved = time.monotonic()
        except DivergenceError:
            save_model(experiment.model, run.model_file)
            experiment.draw(rows, run.path)
            raise
        _save(trainer, run)
        experiment.draw(rows, run.path)
    unfinished = trainer.epoch < experiment.config.epochs
    return Outcome(rows, stop.exit_code if unfinished else 0)


def _continue(trainer: Trainer, run: RunDirectory) -> list[Row]:
    """Bring a trainer to where its run stands; the metrics of the epochs that are done."""
    trainer.load_state_dict(load_state(run.state_file))
    e = trainer.experiment
    if trainer.epoch > e.config.epochs:
        raise ConfigurationError(
            f"{run.path} has done {trainer.epoch} epochs already; --epochs must not be fewer"
        )
    run.write_config(
        e.config, e.images.format
    )  # only now: a state that does not fit changes nothing
    return [row for row in run.read_metrics() if row["epoch"] <= trainer.epoch]


def _save(trainer: Trainer, run: RunDirectory) -> None:
    save_model(trainer.experiment.model, run.model_file)
    save_state(trainer.state_dict(), run.state_file)
