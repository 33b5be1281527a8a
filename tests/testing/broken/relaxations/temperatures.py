"""Relaxations broken at extreme temperatures, or at several temperatures in compiled code."""

from __future__ import annotations

import math
from dataclasses import replace

from torch import Tensor

from tests.testing.sound.choices import Choice


class SquaredTemperature(Choice):
    """The square of a low temperature is too small a number, and its quotients are infinite."""

    caught_by = "any_temperature_is_taken"

    def relax(self, scores, temperature):
        return super().relax(scores * temperature, temperature**2)


class LogarithmOfANumber(Choice):
    """Python's logarithm is computed when the code is compiled, for one temperature."""

    caught_by = "few_graphs_for_any_temperature"
    capabilities = replace(Choice.capabilities, compiles=True)

    def relax(self, scores, temperature):
        if isinstance(temperature, Tensor):
            return super().relax(scores, temperature)
        return super().relax(scores, math.exp(math.log(temperature)))


BROKEN = [
    SquaredTemperature(),
    LogarithmOfANumber(size=2),
]
