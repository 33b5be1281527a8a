"""Estimators that draw anew where their sample is computed again."""

from __future__ import annotations

import torch

from relaxit.autograd import replace_gradient
from relaxit.tracing import in_backward
from tests.testing.sound.estimators import Through


class DrawsAgain(Through):
    """Consumes a random number more in the second pass than in the first."""

    caught_by = "recomputed_samples_keep_their_gradient"
    exact_draw = False
    unbiased = ""

    def sample(self, q, sample_shape=(), generator=None):
        if in_backward():
            torch.rand(1)
        soft, hard = q.draw(sample_shape, generator)
        return replace_gradient(hard, soft)


BROKEN = [DrawsAgain()]
