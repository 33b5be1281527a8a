"""The temperature of a run: a buffer filled in place, or a parameter that is learned."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from relaxit.training.config import TemperatureConfig as Settings
from relaxit.training.schedules import temperature_schedule

__all__ = ["Temperature"]


class Temperature(nn.Module):
    """Holds the current temperature as a 0-dim tensor, saved and restored with the run.

    It is a tensor because a compiled step would be recompiled whenever a Python number changes.

    Args:
        settings: schedule, initial and final temperature.
        steps: optimizer steps of the whole run.

    Example:
        >>> tau = Temperature(Settings(schedule="linear", initial=1.0, final=0.5), steps=100)
        >>> tau.set_step(50)
        >>> tau()
        tensor(0.7500)
    """

    value: Tensor

    def __init__(self, settings: Settings, steps: int) -> None:
        super().__init__()
        self.learned = settings.schedule == "learned"
        self.schedule = temperature_schedule(
            settings.schedule, settings.initial, settings.final, steps, settings.rate
        )
        start = torch.tensor(self.schedule(0))
        if self.learned:
            self.log_value = nn.Parameter(start.log())  # the logarithm keeps it positive
        else:
            self.register_buffer("value", start)

    def forward(self) -> Tensor:
        return self.log_value.exp() if self.learned else self.value

    def set_step(self, step: int) -> None:
        """Set the temperature of a global step; a no-op if it is learned."""
        if not self.learned:
            self.value.fill_(self.schedule(step))
