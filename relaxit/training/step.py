"""One training step, as a function of the state of a run and of the batch of examples.

This is the reference implementation. The other engines (:mod:`relaxit.training.engines.compiled`,
:mod:`relaxit.training.engines.cuda_graph`) give the same numbers up to rounding, and are chosen in
:mod:`relaxit.training.engines.engine`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import cast

import torch
from torch import Tensor

from relaxit import noise
from relaxit.training.divergence import DivergenceGuard
from relaxit.training.experiment import Experiment
from relaxit.training.metrics import check_shapes, totals_of
from relaxit.training.optimizer import build_optimizer, decayed_parameters
from relaxit.training.trial import Trial, trial

__all__ = ["Costs", "State", "costs", "train_step"]


class State:
    """What a step reads and changes. All tensors stay on the device and are changed in place.

    Args:
        experiment: the run, whose model and temperatures are trained.
        capturable: whether a step of the optimizer can be recorded in a CUDA graph.

    Attributes:
        train: the training examples, on the device.
        optimizer: the optimizer of the parameters of model and temperatures.
        generator: the generator of the noise.
        scheduled: values of the task's schedules, 0-dim tensors by name.
        totals: sums over the examples of the epoch, see :func:`totals_of`.
        guard: monitor of the losses.
        source: what the task draws from: the generator, or its substitute in compiled code.
    """

    source: noise.Source

    def __init__(self, experiment: Experiment, capturable: bool = False) -> None:
        self.experiment = e = experiment
        weights = list(e.model.parameters())
        tau = [*e.temperature.parameters(), *e.temperatures.parameters()]
        decaying = decayed_parameters(e.model)
        exempt = [weight for weight in weights if not any(weight is other for other in decaying)]
        self.optimizer = build_optimizer(e.config.optimizer, decaying, [*exempt, *tau], capturable)
        self.source = self.generator = e.noise_generator()
        self.train = e.data.train
        self.scheduled = {
            name: torch.tensor(value, device=e.device) for name, value in e.schedules(0).items()
        }
        self.totals = torch.zeros(2 + len(e.task.metrics), device=e.device)
        self.guard = DivergenceGuard([*weights, *tau], e.device)

    def move_to(self, step: int) -> None:
        """Set what depends on the global step: temperatures, schedules and learning rate."""
        e = self.experiment
        e.set_temperatures(step)
        for name, value in e.schedules(step).items():
            self.scheduled[name].fill_(value)
        rate = e.learning_rate(step)
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        self.guard.begin(step)

    def trial(self) -> AbstractContextManager[Trial]:
        """Return a context whose steps are undone at its end."""
        tensors = [self.totals, self.guard.first_bad.step]
        e = self.experiment
        return trial(e.device, e.parts, tensors, [self.generator], self.optimizer)


Costs = Callable[[State, Tensor], tuple[Tensor, Tensor]]


def costs(state: State, index: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the mean loss ``[]``, with gradient, and the sums of :func:`totals_of`.

    Args:
        state: state of the run.
        index: rows of the training examples, ``[B]`` int64 on the device.

    Returns:
        The loss, and the sums ``[2 + metrics]``.
    """
    e = state.experiment
    # Code that draws through relaxit.noise accepts every kind of source.
    source = cast(torch.Generator, state.source)
    batch = state.train.take(index).read(source)
    terms = e.task.terms(e.setup, e.model, batch, e.now(source, state.scheduled))
    check_shapes(e.task, terms)
    loss = terms.loss.mean()
    return loss, totals_of(terms, loss.detach())


def train_step(state: State, index: Tensor, costs: Costs = costs) -> None:
    """Perform one update, without synchronising, so that a CUDA graph can record all of it.

    Args:
        state: state of the run, moved to this step.
        index: rows of the training examples, ``[B]`` int64 on the device.
        costs: the function :func:`costs`, eager or compiled.
    """
    loss, sums = costs(state, index)
    state.guard.see(loss)
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    state.optimizer.step()
    state.totals += sums
