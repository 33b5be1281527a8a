"""Generators and steps of a task, without a trainer."""

from __future__ import annotations

import torch

from relaxit.training.task import Step


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def step(seed=0, temperature=1.0):
    return Step(torch.tensor(temperature), rng(seed))
