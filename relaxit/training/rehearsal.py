"""A first step on copies: what only a step can tell is refused before anything is written."""

from __future__ import annotations

import copy

import torch

from relaxit.training import course
from relaxit.training.experiment import Experiment
from relaxit.training.task import Step

__all__ = ["rehearse_learned"]


def rehearse_learned(e: Experiment) -> None:
    """Refuse to learn a temperature that the loss does not depend on.

    Nothing is done unless the temperature is learned, and the run is the same either way.

    Args:
        e: the run, before its first step.

    Raises:
        ConfigurationError: as :func:`relaxit.training.course.check_learned`.
    """
    if not list(e.temperature.parameters()):
        return
    model, temperature = copy.deepcopy((e.model, e.temperature))
    train = e.images.part("train", e.task.needs_labels)
    size = min(e.config.batch_size, len(train))  # a task may join pictures: one might not do
    batch = train.take(torch.arange(size, device=e.device))
    gpus = [e.device] if e.device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):  # a task may draw from torch's own generator
        now = Step(temperature(), course.kl_weight(e, 0), course.noise_generator(e))
        e.task.terms(e.setup, model, batch, now).loss.mean().backward()
    course.check_learned(e, temperature.parameters())
