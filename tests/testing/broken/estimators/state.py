"""Estimators with a broken state."""

from __future__ import annotations

import torch

from relaxit.estimators import OMITTED
from tests.testing.sound.estimators import Average, Averaged


class NeverUpdated(Averaged):
    """Keeps an average that stays 0."""

    caught_by = "state_is_trained"

    def baseline(self, state, f):
        return state.average.clone()


class SilentlyAlone(Averaged):
    """Has no baseline where the state was forgotten, and does not say so."""

    caught_by = "missing_state_is_reported"

    def given_state(self, state):
        return None if state is OMITTED else super().given_state(state)


class LearnsInEvaluation(Averaged):
    """Brings its average up to date in a validation pass, too."""

    caught_by = "state_rests_in_evaluation"

    def baseline(self, state, f):
        before = state.average.clone()
        state.update(f)
        return before


class Unsaved(Averaged):
    """An average that no checkpoint holds."""

    caught_by = "state_is_restored"

    def build_state(self, relaxation, variables):
        return Average(persistent=False)


class LooksAtItsState(Averaged):
    """Branches on a number that it keeps."""

    caught_by = "vmap_of_states"

    def baseline(self, state, f):
        before = super().baseline(state, f)
        return before if float(before) else torch.zeros_like(before)


class KnowsItsOwnCost(Averaged):
    """Takes the cost into the average before it is subtracted."""

    caught_by = "estimates_with_state_are_unbiased"

    def baseline(self, state, f):
        super().baseline(state, f)
        return state.average.clone()


BROKEN = [
    NeverUpdated(),
    SilentlyAlone(),
    LearnsInEvaluation(),
    Unsaved(),
    LooksAtItsState(),
    KnowsItsOwnCost(),
]
