"""The trainer: the state of a run, and the steps and epochs that advance it."""

from __future__ import annotations

import time
import warnings
from typing import Any

from torch import Tensor

from relaxit.errors import CheckpointError, one_line
from relaxit.training.callbacks import Callback
from relaxit.training.engines import Engine
from relaxit.training.engines.engine import choose
from relaxit.training.experiment import Experiment
from relaxit.training.metrics import mean_metrics, metrics_row
from relaxit.training.optimizer import load_plain_state, plain_state
from relaxit.training.precision import matmuls
from relaxit.training.seeds import derive
from relaxit.training.step import State
from relaxit.training.stopping import StopRequest

__all__ = ["REPORT_SECONDS", "Trainer"]

REPORT_SECONDS = 0.2
"""Shortest time between two calls of ``Callback.step``."""


class Trainer(State):
    """The state of a run with its position, and the engine that executes its steps.

    Args:
        experiment: the run.

    Attributes:
        epoch: number of finished epochs.
        position: number of finished batches of this epoch.
        step: number of optimizer steps since the beginning.
        seconds: time spent in the training steps of this epoch.
        engine: the engine.
    """

    def __init__(self, experiment: Experiment) -> None:
        super().__init__(experiment, capturable=choose(experiment)[0] == "graph")
        self.epoch = self.position = self.step = 0
        self.seconds = 0.0
        self.engine = Engine(self)

    def train_step(self, index: Tensor) -> None:
        """Perform one update on the training examples at ``index``, ``[B]`` int64 on the device.

        Raises:
            DivergenceError: on the CPU, if the loss is not finite; on other devices only at the
                end of the epoch, so that no step synchronises.
        """
        e = self.experiment
        self.move_to(self.step)
        with matmuls(e.config.precision, e.device):
            self.engine(index)
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
        row["examples_per_second"] = self.examples_done / self.seconds
        return row if finished else {**row, "partial": 1}

    @property
    def examples_done(self) -> int:
        """Number of training examples processed in this epoch."""
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
            "temperatures": e.temperatures.state_dict(),
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
            self.experiment.temperatures.load_state_dict(state.get("temperatures", {}))
            load_plain_state(self.optimizer, state["optimizer"])
            self.totals.copy_(state["totals"])
            for key in ("epoch", "position", "step", "seconds"):
                setattr(self, key, state[key])
            self._restore_noise(state["generator"], state["device"])
            self.guard.trust(self.step)
            self.engine = Engine(self)  # a recording refers to the former moments
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
