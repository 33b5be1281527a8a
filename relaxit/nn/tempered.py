"""The temperature of modules that draw with a layer :class:`relaxit.Relax` inside them."""

from __future__ import annotations

from torch import Tensor, nn

from relaxit.nn.relax import Relax

__all__ = ["Tempered"]


class Tempered(nn.Module):
    """Base class of a module whose temperature is that of its layer ``relax``."""

    relax: Relax

    @property
    def temperature(self) -> Tensor:
        """The temperature, a 0-dim tensor; assign a number to change it."""
        return self.relax.temperature

    @temperature.setter
    def temperature(self, temperature: float | Tensor) -> None:
        self.relax.set_temperature(temperature)

    def set_temperature(self, temperature: float | Tensor) -> None:
        """Change the temperature in place, as :meth:`relaxit.Relax.set_temperature` does.

        Raises:
            DomainError: if it is not finite and positive.
        """
        self.relax.set_temperature(temperature)
