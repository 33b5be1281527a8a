"""What the examples of a data set are called: not all of them are images."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relaxit.training import Experiment

__all__ = ["noun_of", "training_examples"]


def noun_of(experiment: Experiment) -> str:
    """Return what the examples of a run's data set are called, in the plural."""
    from relaxit.plugins import default_registry

    noun: str = default_registry().find("dataset", experiment.config.data.name).noun
    return noun


def training_examples(experiment: Experiment) -> str:
    """Return how many training examples there are, and the shape of an example."""
    noun, shape = noun_of(experiment), experiment.data.format.columns.get("inputs")
    size = f" of {'x'.join(map(str, shape.shape))}" if shape and shape.shape else ""
    return f"{len(experiment.data.train)} training {noun}{size}"
