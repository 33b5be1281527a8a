"""Relaxations whose statistics are not what params multiply."""

from __future__ import annotations

from dataclasses import replace

from tests.testing.sound.choices import Choice
from tests.testing.sound.orders import Order


class AnotherPlace(Choice):
    """Statistics whose inverse is off by one place."""

    caught_by = "statistics_and_back"

    def statistics(self, value):
        return value.roll(1, -1)


class RanksAreNoFamily(Order):
    """Claims that Plackett-Luce masses grow with the sum of rank times score."""

    caught_by = "masses_are_those_of_the_scores"
    capabilities = replace(Order.capabilities, exponential_family=True)

    def statistics(self, value):
        return (value * value.new_tensor([2.0, 1.0, 0.0]).unsqueeze(-1)).sum(-2)


BROKEN = [AnotherPlace(), RanksAreNoFamily()]
