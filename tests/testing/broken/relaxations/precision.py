"""Relaxations that are wrong in float32 alone."""

from __future__ import annotations

import torch

from relaxit.categorical.distributions import OneHot
from tests.testing.sound.choices import Choice


class CoarseEntropy(Choice):
    """An entropy that is computed in bfloat16 unless params are float64."""

    caught_by = "float32_agrees_with_float64"

    def discrete(self, params):
        return _Coarse(self, params)


class _Coarse(OneHot):
    def entropy(self):
        exact = super().entropy()
        return exact if exact.dtype == torch.float64 else 1.01 * exact


class HalfTheGradientInFloat32(Choice):
    """Half of the gradient, in float32 only."""

    caught_by = "float32_gradients_agree"

    def relax(self, scores, temperature):
        halved = (scores + scores.detach()) / 2
        return super().relax(halved if scores.dtype == torch.float32 else scores, temperature)


BROKEN = [
    CoarseEntropy(),
    HalfTheGradientInFloat32(),
]
