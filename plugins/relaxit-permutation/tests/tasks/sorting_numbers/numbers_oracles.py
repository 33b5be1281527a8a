"""Lists of numbers, and networks that know their order."""

from __future__ import annotations

import torch
from seeded_steps import rng
from torch import nn

import relaxit
from relaxit import zoo
from relaxit.data.dataset import Dataset, Images, Part
from relaxit.training.config import resolve
from relaxit.training.task import Setup
from relaxit_permutation.gumbel_sinkhorn.permutation import Permutation


class Few(Dataset):
    """63 numbers, and 23 to test."""

    api, name, summary = 1, "test-few", "some numbers"

    def load(self, directory, download=False):
        x = torch.rand(86, 1, generator=torch.Generator().manual_seed(2))
        return Images(x[:63], x[63:], (1, 1), levels=1)


def setup(n=5, estimator="pathwise", relaxation=Permutation, **more):
    return Setup(relaxation(n=n), relaxit.estimator(estimator), latents=1, **more)


def part(count, seed=1):
    return Part(torch.rand(count, 1, generator=rng(seed)), 1)


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
