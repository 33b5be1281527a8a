"""Data whose label is planted in three pixels, and experiments of feature selection."""

from __future__ import annotations

import torch

from relaxit import Capabilities, PerturbAndRelax, zoo
from relaxit.data.dataset import Dataset
from relaxit.data.examples import Examples
from relaxit.data.images import ImageReader
from relaxit.data.splits import Splits
from relaxit.training.building import build
from relaxit.training.callbacks import SilentCallback
from relaxit.training.config import resolve
from relaxit.training.stopping import StopRequest
from relaxit.training.trainer import Trainer

PLANTED = (3, 20, 41)


class Planted(Dataset):
    """Black and white noise of 8 x 8; three of the pixels are the bits of the label."""

    api, name, summary = 2, "test-planted", "three pixels are the label"

    def load(self, directory, download=False):
        bits = torch.randint(2, (1200, 64), generator=torch.Generator().manual_seed(5))
        labels = (bits[:, list(PLANTED)] * torch.tensor([4, 2, 1])).sum(-1)
        pixels = (bits.to(torch.uint8) * 255).unflatten(1, (8, 8))
        images = Examples({"inputs": pixels, "targets": labels}, ImageReader())
        train, test = torch.arange(1200).split([1000, 200])
        return Splits(images.take(train), images.take(test))


class Positive(PerturbAndRelax):
    """Any subset of 64 pixels; no discrete distribution is claimed."""

    api, name, summary = 1, "test-positive", "pixels with positive scores"
    capabilities = Capabilities(density=False, discrete_distribution=False, exact_rounding=True)
    event_shape = param_shape = torch.Size([64])
    support = torch.distributions.constraints.unit_interval
    vertices = torch.distributions.constraints.boolean

    def relax(self, scores, temperature):
        return (scores / temperature).sigmoid()

    def argmax(self, scores):
        return (scores > 0).to(scores.dtype)


def config(*layers, dataset="digits"):
    settings = {"data": {"name": dataset}, "device": "cpu"}
    return resolve([*zoo.recipe_layers("feature-selection"), settings, *layers])


def trained(*layers, dataset="digits"):
    trainer = Trainer(build(config(*layers, dataset=dataset)))
    for _ in range(trainer.experiment.config.epochs):
        trainer.run_epoch(SilentCallback(), StopRequest())
        trainer.next_epoch()
    return trainer.experiment


def small(k=5, **more):
    relaxation, task = {"options": {"n": 64, "k": k}}, {"options": {"hidden": [16]}}
    return {"relaxation": relaxation, "task": task, "epochs": 2, **more}


def with_scores(*layers):
    """An untrained experiment with scores of its own for the pixels, all different."""
    experiment = build(config(*layers))
    with torch.no_grad():
        scores = torch.randn(64, generator=torch.Generator().manual_seed(1))
        experiment.model.slow_scores.copy_(scores / 50)
    return experiment
