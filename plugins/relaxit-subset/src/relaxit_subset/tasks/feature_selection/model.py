"""The model of feature selection: a score for each pixel, and a classifier of chosen pixels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

__all__ = ["Selector", "perceptron"]


class Selector(nn.Module):
    """A score for each pixel, and a classifier of the chosen pixels.

    Args:
        pixels: number P of pixels of an image.
        classes: number C of classes.
        hidden: widths of the classifier's hidden layers.
        score_rate: ratio of the scores to the weights that the optimiser updates. Adam's steps do
            not depend on the scale of gradients, so the scores move faster by this factor.
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
        """Params ``[P]`` of the distribution of the subset."""
        return self.score_rate * self.slow_scores

    def logits(self, x: Tensor, z: Tensor) -> Tensor:
        """Map images ``[B, P]`` and chosen pixels ``[..., P]`` to logits ``[..., B, C]``."""
        logits: Tensor = self.classifier(x * z.unsqueeze(-2))
        return logits


def perceptron(sizes: Sequence[int]) -> nn.Sequential:
    """Build linear layers of these sizes with ReLU in between."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
