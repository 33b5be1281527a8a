"""One training step, as a function of the state of a run and of the pictures it takes.

This is the plain form. What else executes a step (:mod:`relaxit.training.compiled`,
:mod:`relaxit.training.graph`) gives the same numbers up to rounding, and is chosen in
:mod:`relaxit.training.engine`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from relaxit import noise
from relaxit.data.dataset import Part
from relaxit.training import course
from relaxit.training.divergence import DivergenceGuard
from relaxit.training.experiment import Experiment
from relaxit.training.task import Step

__all__ = ["Costs", "Snapshot", "State", "costs", "train_step"]


@dataclass
class State:
    """What a step reads and changes. All tensors stay on the device and are changed in place.

    Attributes:
        experiment: the run, whose model and temperature are trained.
        train: the training pictures, on the device.
        optimizer: over parameters of model and temperature.
        generator: the source of noise.
        kl_weight: weight of the KL term, 0-dim.
        totals: sums over the examples of the epoch, see :func:`course.totals_of`.
        guard: watches the losses.
        source: what the task draws from: the generator, or what stands for it in compiled code.
    """

    experiment: Experiment
    train: Part
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    kl_weight: Tensor
    totals: Tensor
    guard: DivergenceGuard
    source: noise.Source

    def move_to(self, step: int) -> None:
        """Fill in what depends on the global step: temperature, KL weight and learning rate."""
        e = self.experiment
        e.temperature.set_step(step)
        self.kl_weight.fill_(course.kl_weight(e, step))
        rate = course.learning_rate(e, step)
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        self.guard.begin(step)


Costs = Callable[[State, Tensor], tuple[Tensor, Tensor]]


def costs(state: State, index: Tensor) -> tuple[Tensor, Tensor]:
    """Mean loss ``[]`` with gradient, and what :func:`course.totals_of` sums, ``[2 + metrics]``.

    Args:
        state: of the run.
        index: rows of the training pictures, ``[B]`` int64 on the device.
    """
    e = state.experiment
    # Whatever draws through relaxit.noise takes each kind of source.
    source = cast(torch.Generator, state.source)
    now = Step(e.temperature(), state.kl_weight, source)
    terms = e.task.terms(e.setup, e.model, state.train.take(index), now)
    course.check_shapes(e.task, terms)
    loss = terms.loss.mean()
    return loss, course.totals_of(terms, loss.detach())


def train_step(state: State, index: Tensor, costs: Costs = costs) -> None:
    """One update. No device is waited for, so that a GPU can record it whole.

    Args:
        state: of the run, moved to this step.
        index: rows of the training pictures, ``[B]`` int64 on the device.
        costs: what the step costs, plain or compiled.
    """
    loss, sums = costs(state, index)
    state.guard.see(loss)
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    state.optimizer.step()
    state.totals += sums


class Snapshot:
    """Copies of all that a step changes, to undo steps that were only a trial.

    Everything keeps its place in memory: :meth:`restore` copies back.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self.plain = dict(self._plain())
        self.copies = {name: tensor.clone() for name, tensor in self._tensors()}
        self.noise = state.generator.get_state()

    def require_tensors(self) -> None:
        """Refuse a step that has changed anything of the model that is no tensor.

        A fast engine works with what stood there when it was set up, in every step.

        Raises:
            RuntimeError: naming it.
        """
        for name, value in self._plain():
            if value != self.plain.get(name, value):
                raise RuntimeError(f"a step changes {name} of the model, which is no tensor")

    def _plain(self) -> Iterator[tuple[str, object]]:
        for path, module in self.state.experiment.model.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, int | float | str):
                    yield f"{path}.{name}".lstrip("."), value

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        state, e = self.state, self.state.experiment
        for part, module in (("model", e.model), ("temperature", e.temperature)):
            for name, tensor in (*module.named_parameters(), *module.named_buffers()):
                yield f"{part} {name}", tensor.detach()
        yield "totals", state.totals
        yield "guard", state.guard.first_bad.step
        for number, moments in enumerate(state.optimizer.state.values()):
            for name, moment in moments.items():
                if isinstance(moment, Tensor):
                    yield f"moment {number} {name}", moment

    @torch.no_grad()
    def restore(self) -> None:
        """Undo what was done since. A moment of the optimizer that was not there becomes 0."""
        for name, tensor in self._tensors():
            if name in self.copies:
                tensor.copy_(self.copies[name])
            else:
                tensor.zero_()
        for name, value in self.plain.items():
            path, _, leaf = name.rpartition(".")
            setattr(self.state.experiment.model.get_submodule(path), leaf, value)
        self.state.generator.set_state(self.noise)
        self.state.optimizer.zero_grad(set_to_none=True)
