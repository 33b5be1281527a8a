"""The engine, which executes the steps of a run, and its choice.

``eager`` runs :func:`relaxit.training.step.train_step` directly. ``compile`` compiles its costs and
gradients, ``graph`` records all of it. ``auto`` uses the graph on a CUDA device. On the CPU it
compiles if the run is long enough to make up for the time of compiling. Otherwise it runs eagerly,
also if a faster engine fails, with one warning that gives the reason. The choice depends on the
configuration only, never on measured times, so that a run can be repeated bit for bit.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from relaxit.errors import ConfigurationError, RelaxitError, shorten
from relaxit.training.engines.compiled import compile_step
from relaxit.training.engines.cuda_graph import record_step
from relaxit.training.experiment import Experiment
from relaxit.training.step import State, train_step

__all__ = ["Engine", "EngineName", "choose", "expected_saving"]

EngineName = Literal["eager", "compile", "graph"]
_FAST: dict[str, Callable[[State, Tensor], Callable[[Tensor], None]]] = {
    "compile": compile_step,
    "graph": record_step,
}

# Measured on one core (AVX-512) with the default autoencoder: saves 0.35 to 1.3 ms per step.
_DISPATCH = 0.35e-3  # seconds per step
_PASSES = 7e-9  # seconds per number of a batch, its params and its samples
_LEAST_SAVING = 60.0  # seconds: compiling takes 15 to 50 without a cache


@dataclass
class Engine:
    """Executes steps; the first call also sets the engine up, which may take some seconds.

    Args:
        state: state of the run.

    Attributes:
        name: name of the engine that executes the steps.
        reason: why it was chosen.
        seconds: duration of the first step; None before it.
    """

    state: State
    name: EngineName = field(init=False)
    reason: str = field(init=False)
    seconds: float | None = field(init=False, default=None)
    _step: Callable[[Tensor], None] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.name, self.reason = choose(self.state.experiment)

    def __call__(self, index: Tensor) -> None:
        """Perform one update on the training examples at ``index`` ``[B]``."""
        if self._step is not None:
            self._step(index)
            return
        began = time.perf_counter()
        self._step = self._prepare(index)
        self._step(index)
        self.seconds = time.perf_counter() - began

    def _prepare(self, index: Tensor) -> Callable[[Tensor], None]:
        size = min(self.state.experiment.config.batch_size, len(self.state.train))
        rows = torch.arange(size, device=index.device)  # a resumed run may begin at a smaller batch
        if self.name == "eager":
            return self._eagerly
        try:
            return _FAST[self.name](self.state, rows)
        except RelaxitError:
            raise
        except Exception as error:  # compiler errors have no common base class
            what = f"{type(error).__name__}: {_first_line(error)}"
            if self.state.experiment.config.engine != "auto":
                raise ConfigurationError(
                    f"engine (--engine): {self.name} does not work for this run ({what}); "
                    "use auto or eager"
                ) from error
            warnings.warn(f"engine {self.name} does not work, eager is used: {what}", stacklevel=4)
            self.name, self.reason = "eager", f"{self.name} does not work"
            return self._eagerly

    def _eagerly(self, index: Tensor) -> None:
        train_step(self.state, index)


def choose(e: Experiment) -> tuple[EngineName, str]:
    """Choose the engine of a run; return its name and the reason."""
    requested = e.config.engine
    if requested != "auto":
        return requested, "as requested"
    if e.device.type == "cuda":
        return "graph", "CUDA"
    if e.device.type == "cpu":
        return _on_the_cpu(e)
    return "eager", f"the only engine for {e.device.type}"


def _on_the_cpu(e: Experiment) -> tuple[EngineName, str]:
    """Choose ``compile`` for long runs; from sizes only, so that the choice can be repeated."""
    for variable in e.setup.variables.values():
        relaxation, estimator = variable.relaxation, variable.estimator
        if not relaxation.capabilities.compiles:
            return "eager", f"relaxation {relaxation.name!r} does not compile"
        if estimator.evaluations(relaxation, variable.latents) > 4:
            return (
                "eager",
                f"the many cost evaluations of estimator {estimator.name!r} compile slowly",
            )
    saved = expected_saving(e)
    if saved < _LEAST_SAVING:
        return "eager", f"compiling would save {saved:.0f} s and takes 15 to 50 s"
    return "compile", f"saves about {saved:.0f} s"


def expected_saving(e: Experiment) -> float:
    """Estimate how many seconds a run on the CPU would save if its steps were compiled.

    Compiling saves dispatch, and passes over the tensors between the matrix multiplications.
    """
    setup = e.setup
    entries = setup.relaxation.param_shape.numel() + setup.relaxation.event_shape.numel()
    touched = setup.batch_size * (_entries_per_example(e) + setup.latents * entries)
    return e.steps * (_DISPATCH + _PASSES * touched)


def _entries_per_example(e: Experiment) -> int:
    return sum(column.entries for column in e.data.format.columns.values())


def _first_line(error: Exception) -> str:
    """Return the first line of an error message, shortened."""
    message = next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
    return shorten(message, 200)
