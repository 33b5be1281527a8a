"""Relaxations that declare expected failures, rightly and wrongly."""

from __future__ import annotations

from tests.testing.broken.relaxations import discrete
from tests.testing.sound import choices, estimators


class Declared(discrete.KlWithTheWrongSign):
    """Broken, and says so."""

    name = "declared"
    expected_failures = {"kl_to_uniform_by_enumeration": "copied from elsewhere"}


class Stale(choices.Choice):
    """Sound, and says it is broken."""

    name = "stale"
    expected_failures = {"low_temperature_gives_hard_values": "was broken once"}


class Misspelt(choices.Choice):
    """Sound, and misspells the name of a check."""

    name = "misspelt"
    expected_failures = {"low_temperature_gives_hard_value": "no such check"}


class FailsOnThree(estimators.Through):
    """Loses its gradient, but only where there are three choices."""

    expected_failures = {"gradient_reaches_params": "three are too many"}

    def sample(self, q, sample_shape=(), generator=None):
        value = super().sample(q, sample_shape, generator)
        return value.detach() if q.event_shape[0] == 3 else value
