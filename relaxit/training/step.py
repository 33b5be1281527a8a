"""One training step, as a function of the state of a run and of the batch of images.

This is the reference implementation. The other engines (:mod:`relaxit.training.engines.compiled`,
:mod:`relaxit.training.engines.cuda_graph`) give the same numbers up to rounding, and are chosen in
:mod:`relaxit.training.engines.engine`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from relaxit import noise
from relaxit.data import Part
from relaxit.training.divergence import DivergenceGuard
from relaxit.training.experiment import Experiment
from relaxit.training.metrics import check_shapes, totals_of
from relaxit.training.task import Step

__all__ = ["Costs", "State", "costs", "train_step"]


@dataclass
class State:
    """What a step reads and changes. All tensors stay on the device and are changed in place.

    Attributes:
        experiment: the run, whose model and temperature are trained.
        train: the training images, on the device.
        optimizer: the optimizer of the parameters of model and temperature.
        generator: the generator of the noise.
        kl_weight: weight of the KL term, 0-dim.
        totals: sums over the examples of the epoch, see :func:`totals_of`.
        guard: monitor of the losses.
        source: what the task draws from: the generator, or its substitute in compiled code.
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
        """Set what depends on the global step: temperature, KL weight and learning rate."""
        e = self.experiment
        e.temperature.set_step(step)
        self.kl_weight.fill_(e.kl_weight(step))
        rate = e.learning_rate(step)
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        self.guard.begin(step)


Costs = Callable[[State, Tensor], tuple[Tensor, Tensor]]


def costs(state: State, index: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the mean loss ``[]``, with gradient, and the sums of :func:`totals_of`.

    Args:
        state: state of the run.
        index: rows of the training images, ``[B]`` int64 on the device.

    Returns:
        The loss, and the sums ``[2 + metrics]``.
    """
    e = state.experiment
    # Code that draws through relaxit.noise accepts every kind of source.
    source = cast(torch.Generator, state.source)
    now = Step(e.temperature(), state.kl_weight, source)
    terms = e.task.terms(e.setup, e.model, state.train.take(index), now)
    check_shapes(e.task, terms)
    loss = terms.loss.mean()
    return loss, totals_of(terms, loss.detach())


def train_step(state: State, index: Tensor, costs: Costs = costs) -> None:
    """Perform one update, without synchronising, so that a CUDA graph can record all of it.

    Args:
        state: state of the run, moved to this step.
        index: rows of the training images, ``[B]`` int64 on the device.
        costs: the function :func:`costs`, eager or compiled.
    """
    loss, sums = costs(state, index)
    state.guard.see(loss)
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    state.optimizer.step()
    state.totals += sums
