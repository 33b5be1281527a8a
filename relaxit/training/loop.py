"""The training loop: plain PyTorch, data on the device, one encoder pass for both objectives."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from relaxit.data.batches import read
from relaxit.errors import CheckpointError, ConfigurationError, DivergenceError
from relaxit.schedules import cosine_decay, ramp
from relaxit.training import figures
from relaxit.training.checkpoint import load_state, save_model, save_state
from relaxit.training.divergence import DivergenceGuard
from relaxit.training.evaluation import discrete_elbo
from relaxit.training.experiment import Experiment
from relaxit.training.rundir import RunDirectory
from relaxit.training.seeds import derive
from relaxit.training.stopping import StopRequest
from relaxit.training.tracking import Tracker

__all__ = ["Outcome", "Report", "Trainer", "train"]

Row = Mapping[str, float | int]
_SAVE_SECONDS = 30.0
_REPORT_SECONDS = 0.2


class Report(Protocol):
    """Who is told how the run goes."""

    def step(self, images: int, loss: float, elbo: float) -> None:
        """``images`` more were seen; running means of the epoch, in nats."""

    def epoch(self, row: Row) -> None:
        """An epoch has ended, with these metrics."""


class Silent:
    """Tells nobody."""

    def step(self, images: int, loss: float, elbo: float) -> None:
        pass

    def epoch(self, row: Row) -> None:
        pass


@dataclass(frozen=True)
class Outcome:
    """How a run ended: the metrics of each epoch, and 0, 130 (Ctrl-C) or 143 (SIGTERM)."""

    rows: list[Row]
    exit_code: int


@dataclass
class Trainer:
    """The state of a run and the one step that moves it.

    ``totals`` sums, over the pictures of this epoch: the loss, the training objective at full KL
    weight, reconstruction and KL of the discrete ELBO, and their number. It stays on the device and
    is read when someone looks.
    """

    experiment: Experiment
    epoch: int = 0
    position: int = 0  # batches of this epoch that are done
    step: int = 0
    seconds: float = 0.0  # spent in this epoch
    optimizer: torch.optim.Optimizer = field(init=False)
    generator: torch.Generator = field(init=False)
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
        self.totals = torch.zeros(5, device=device)
        self.guard = DivergenceGuard([*weights, *tau], device)

    def learning_rate(self) -> float:
        """Peak rate times warm-up times decay, at this step."""
        settings, steps = self.experiment.config.optimizer, self.experiment.steps
        decay = cosine_decay(self.step, steps) if settings.schedule == "cosine" else 1.0
        return settings.lr * decay * ramp(self.step + 1, settings.warmup * steps)

    def kl_weight(self, step: int) -> float:
        """Weight of the KL term at a step."""
        return ramp(step, self.experiment.config.objective.kl_warmup * self.experiment.steps)

    def train_step(self, stored: Tensor) -> None:
        """One update from stored pictures ``[B, P]`` uint8."""
        e = self.experiment
        x = read(stored, e.images.levels, e.config.data.binarise, self.generator)
        e.temperature.set_step(self.step)
        terms = e.objective(e.model, x, e.temperature(), self.generator)
        loss = (terms.reconstruction + self.kl_weight(self.step) * terms.kl).mean()
        self.guard.watch(loss, self.step)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        rate = self.learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        with torch.no_grad():
            sums = torch.stack(
                [
                    loss * len(x),
                    (terms.reconstruction + terms.kl).sum(),
                    terms.discrete_reconstruction.sum(),
                    terms.discrete_kl.sum(),
                    loss.new_full((), len(x)),
                ]
            )
            self.totals += sums
        self.step += 1
        self.position += 1

    def run_epoch(self, report: Report, stop: StopRequest) -> bool:
        """Train to the end of the epoch, or until a stop is asked for. True if it was finished."""
        e, size = self.experiment, self.experiment.config.batch_size
        order = self._order()
        began, told = time.perf_counter(), 0.0
        seen = 0
        for start in range(self.position * size, len(order), size):
            index = order[start : start + size]
            self.train_step(e.images.train.index_select(0, index))
            seen += len(index)
            if (now := time.perf_counter()) - told > _REPORT_SECONDS:
                loss, _, reconstruction, kl, count = self.totals.tolist()
                report.step(seen, loss / count, -(reconstruction + kl) / count)
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

    def summary(self, finished: bool) -> dict[str, float | int]:
        """Metrics of the epoch, in nats a picture; each ``elbo`` is the bound itself."""
        e, config = self.experiment, self.experiment.config
        loss, surrogate, reconstruction, kl, count = self.totals.tolist()
        row: dict[str, float | int] = {
            "epoch": self.epoch + 1,
            "step": self.step,
            "temperature": float(e.temperature().detach()),
            "kl_weight": self.kl_weight(self.step - 1),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "train_loss": loss / count,
            "train_surrogate": surrogate / count,
            "train_elbo_discrete": -(reconstruction + kl) / count,
            "train_reconstruction": reconstruction / count,
            "train_kl": kl / count,
        }
        seed = derive(config.seed, "evaluation")
        for part, stored in (("validation", e.images.validation), ("test", e.images.test)):
            if len(stored):
                bound = discrete_elbo(
                    e.model, e.relaxation, stored, e.images.levels, config.data.binarise, seed
                )
                row[f"{part}_elbo_discrete"] = bound.elbo
                row[f"{part}_reconstruction"] = bound.reconstruction
                row[f"{part}_kl"] = bound.kl
        row["seconds"] = self.seconds
        row["images_per_second"] = count / self.seconds
        return row if finished else {**row, "partial": 1}

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
            figures.draw_all(experiment, run.path, rows)
            raise
        _save(trainer, run)
        figures.draw_all(experiment, run.path, rows)
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
    run.write_config(e.config, e.images.size)  # only now: a state that does not fit changes nothing
    return [row for row in run.read_metrics() if row["epoch"] <= trainer.epoch]


def _save(trainer: Trainer, run: RunDirectory) -> None:
    save_model(trainer.experiment.model, run.model_file)
    save_state(trainer.state_dict(), run.state_file)
