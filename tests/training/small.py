"""A tiny configuration that trains in well under a second."""

from __future__ import annotations

from typing import Any

from relaxit.training.building import build
from relaxit.training.config import RunConfig, resolve
from relaxit.training.experiment import Experiment

BASE: dict[str, Any] = {
    "relaxation": {"name": "categorical", "options": {"categories": 3}},
    "latents": 4,
    "epochs": 3,
    "batch_size": 300,
    "task": {"name": "vae", "options": {"hidden": [16, 8]}},
    "device": "cpu",
    "engine": "eager",  # also where a test has very many epochs, which auto would compile for
    "optimizer": {"lr": 3e-3},
}


def small_config(*layers: dict[str, Any]) -> RunConfig:
    return resolve([BASE, *layers])


def small_experiment(*layers: dict[str, Any]) -> Experiment:
    return build(small_config(*layers))
