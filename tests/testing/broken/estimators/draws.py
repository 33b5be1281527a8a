"""Estimators that break what they say of a given draw."""

from __future__ import annotations

from tests.testing.sound.estimators import Drawn


class ViewsTheDraw(Drawn):
    """Takes for granted that the draw is contiguous."""

    caught_by = "given_keeps_the_value"

    def given(self, q, hard, generator=None):
        return super().given(q, hard.view(hard.numel()).view(hard.shape), generator)


class SamplesAtAnotherTemperature(Drawn):
    """What is trained is not what `given` says."""

    caught_by = "sample_is_that_of_given"

    def sample(self, q, sample_shape=(), generator=None):
        return super().sample(q.relaxation(q.params, 0.5), sample_shape, generator)


BROKEN = [
    ViewsTheDraw(),
    SamplesAtAnotherTemperature(),
]
