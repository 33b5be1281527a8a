"""Estimators with a broken loss for actions drawn earlier."""

from __future__ import annotations

from relaxit.estimators import OMITTED
from tests.testing.sound.estimators import Rewarded


class RewardForCost(Rewarded):
    """Minimises the reward."""

    caught_by = "loss_is_that_of_the_surrogate"

    def loss(self, q, action, reward, state=OMITTED):
        return super().loss(q, action, -reward, state)


BROKEN = [
    RewardForCost(),
]
