"""The model of feature selection: a score for each pixel, and a classifier behind them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

__all__ = ["Selector", "perceptron"]


class Selector(nn.Module):
    """A score for each pixel, and a classifier of the pixels that are let through.

    Args:
        pixels: size P of a picture.
        classes: number of classes C.
        hidden: widths of the classifier's hidden layers.
        score_rate: the scores are this multiple of the weights that the optimiser moves, so that
            Adam, whose steps do not depend on the scale of gradients, moves them as much faster.
    """

    def __init__(
        self, pixels: int, classes: int, hidden: Sequence[int], score_rate: float = 1.0
    ) -> None:
        super().__init__()
        self.slow_scores = nn.Parameter(torch.zeros(pixels))
        self.score_rate = score_rate
        self.classifier = perceptron([pixels, *hidden, classes])

    @property
    def params(self) -> Tensor:
        """Parameters of the law of the subset, ``[P]``."""
        return self.score_rate * self.slow_scores

    def logits(self, x: Tensor, z: Tensor) -> Tensor:
        """Pictures ``[B, P]`` and pixels let through ``[..., P]`` to logits ``[..., B, C]``."""
        found: Tensor = self.classifier(x * z.unsqueeze(-2))
        return found


def perceptron(sizes: Sequence[int]) -> nn.Sequential:
    """Linear layers of these sizes with ReLU between."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
