"""Images whose pieces are marked with their places, and networks that read the marks."""

from __future__ import annotations

import torch
from seeded_steps import rng
from torch import nn

import relaxit
from relaxit.data.examples import Examples
from relaxit.data.splits import ColumnFormat, Format
from relaxit.training.setup import Setup
from relaxit_permutation.gumbel_sinkhorn.permutation import Permutation
from relaxit_permutation.tasks.jigsaw.puzzle import Grid
from relaxit_permutation.tasks.jigsaw.task import Solver

SIX = Format({"inputs": ColumnFormat("float32", (6, 6))})  # nine pieces of 2x2


def setup(n=9, estimator="pathwise", relaxation=Permutation):
    return Setup(relaxation(n=n), relaxit.estimator(estimator))


def random_images(count):
    """Images of 6x6 pixels in [0, 1]."""
    return Examples.of(inputs=torch.rand(count, 6, 6, generator=rng()))


def marked(count=4, blanks=()):
    """Images of nine pieces: the pixels of piece i are all 25 (i + 1), or 0 if it is blank."""
    values = torch.tensor([0 if i in blanks else 25 * (i + 1) for i in range(9)]) / 255
    pieces = values[None, :, None].expand(count, 9, 4)
    return Examples.of(inputs=Grid((6, 6), 3).joined(pieces).unflatten(1, (6, 6)))


class Knows(nn.Module):
    """Reads from the mark of a piece where it belongs: scores -(place - mark)^2 for each place."""

    def __init__(self, scale=1.0):
        super().__init__()
        self.scale = scale

    def forward(self, pieces):  # [B, n, F] -> [B, places, pieces]
        mark = pieces.mean(-1) * 255 / 25 - 1
        places = torch.arange(pieces.shape[1])[:, None]
        return -self.scale * (places - mark.unsqueeze(-2)).square()


def knowing(scale=1.0, scorer=Knows):
    return Solver(Grid((6, 6), 3), scorer(scale))
