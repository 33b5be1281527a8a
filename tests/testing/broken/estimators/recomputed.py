"""Estimators that draw anew where their sample is computed again."""

from __future__ import annotations

import torch

from relaxit.autograd import replace_gradient
from relaxit.tracing import in_backward
from tests.testing.sound.estimators import Averaged, Through


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


class UpdatesTwice(Averaged):
    """Does not ask whether the state that it is given was updated already."""

    caught_by = "recomputed_states_keep_the_gradient"

    def given_state(self, state):
        return super().given_state(state) if not isinstance(state, torch.nn.Module) else state


BROKEN = [DrawsAgain(), UpdatesTwice()]
