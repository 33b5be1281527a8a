"""Lists of numbers, and networks that know their order."""

from __future__ import annotations

import torch
from seeded_steps import rng
from torch import nn

import relaxit
from relaxit import zoo
from relaxit.data.dataset import Dataset
from relaxit.data.examples import Examples
from relaxit.data.splits import ColumnFormat, Format, Splits
from relaxit.training.config import resolve
from relaxit.training.setup import Setup
from relaxit_permutation.gumbel_sinkhorn.permutation import Permutation

NUMBERS = Format({"inputs": ColumnFormat("float32", ())})


class Few(Dataset):
    """63 numbers, and 23 to test."""

    api, name, summary = 2, "test-few", "some numbers"

    def load(self, directory, download=False):
        x = torch.rand(86, generator=torch.Generator().manual_seed(2))
        return Splits(Examples.of(inputs=x[:63]), Examples.of(inputs=x[63:]))


def setup(n=5, estimator="pathwise", relaxation=Permutation, **more):
    return Setup(relaxation(n=n), relaxit.estimator(estimator), latents=1, **more)


def part(count, seed=1):
    return Examples.of(inputs=torch.rand(count, generator=rng(seed)))


def config(*layers):
    settings = {"relaxation": {"options": {"n": 5}}, "device": "cpu"}
    return resolve([*zoo.recipe_layers("sorting-numbers"), settings, *layers])


class Oracle(nn.Module):
    """Scores -(anchor - x)^2, anchors from the greatest down: what a trained network is to find."""

    def __init__(self, n, scale=1.0, ascending=False):
        super().__init__()
        anchors = 1 - (torch.arange(n) + 0.5) / n
        self.anchors, self.scale = anchors.flip(0) if ascending else anchors, scale

    def forward(self, x):  # [E, n, 1] -> [E, ranks, numbers]
        return -self.scale * (self.anchors - x).square().transpose(-1, -2)


class Swaps(Oracle):
    """An oracle that confuses the two greatest of every list that begins below one half."""

    def forward(self, x):
        right = super().forward(x)
        wrong = right[:, [1, 0, *range(2, right.shape[1])]]
        return torch.where(x[:, :1] < 0.5, wrong, right)
