"""Relaxations that break where several entries are masked."""

from __future__ import annotations

import torch

from relaxit.temperature import divide_by_temperature
from tests.testing.sound.choices import MaskedChoice


class TwoStages(MaskedChoice):
    """A group of two, then one of the group: NaN gradients where the whole group is masked."""

    caught_by = "many_masks_are_finite"

    def relax(self, scores, temperature):
        scaled = divide_by_temperature(scores, temperature)
        group = scaled[..., :2].logsumexp(-1, keepdim=True)
        total = torch.cat([group, scaled[..., 2:]], -1).logsumexp(-1, keepdim=True)
        return (scaled - total).softmax(-1)


BROKEN = [TwoStages()]
