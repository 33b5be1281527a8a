"""A trial step on copies: errors that only a step reveals are raised before anything is written."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor

from relaxit.errors import ConfigurationError
from relaxit.training.experiment import Experiment
from relaxit.training.task import Step

__all__ = ["check_learned_temperature", "require_temperature_gradient"]


def require_temperature_gradient(e: Experiment, tau: Iterable[Tensor]) -> None:
    """Raise if the loss does not depend on a learned temperature, which would never change.

    Args:
        e: the run.
        tau: parameters of the temperature, after a backward pass.

    Raises:
        ConfigurationError: if one of them has no gradient.
    """
    if any(parameter.grad is None for parameter in tau):
        raise ConfigurationError(
            f"temperature.schedule = 'learned': estimator {e.setup.estimator.name!r} gives the "
            "temperature no gradient; use another schedule, or 'pathwise'"
        )


def check_learned_temperature(e: Experiment) -> None:
    """Check with a trial step that the loss depends on a learned temperature.

    This does nothing unless the temperature is learned, and it does not change the run.

    Args:
        e: the run, before its first step.

    Raises:
        ConfigurationError: as :func:`require_temperature_gradient`.
    """
    if not list(e.temperature.parameters()):
        return
    model, temperature = copy.deepcopy((e.model, e.temperature))
    train = e.images.part("train", e.task.needs_labels)
    size = min(e.config.batch_size, len(train))  # a task may combine images, so one may not suffice
    batch = train.take(torch.arange(size, device=e.device))
    gpus = [e.device] if e.device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):  # a task may draw from torch's global generator
        now = Step(temperature(), e.kl_weight(0), e.noise_generator())
        e.task.terms(e.setup, model, batch, now).loss.mean().backward()
    require_temperature_gradient(e, temperature.parameters())
