"""A relaxation as a layer: a relaxed sample in training, an exact discrete draw otherwise."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from relaxit.arithmetic import without_autocast
from relaxit.errors import Unsupported
from relaxit.estimators import SampleEstimator
from relaxit.plugins import estimator as find_estimator
from relaxit.plugins import get
from relaxit.relaxation import Relaxation
from relaxit.temperature import check_temperature_value

__all__ = ["Relax"]


class Relax(nn.Module):
    """Map parameters ``[*batch, *param_shape]`` to samples ``[*batch, *event_shape]``.

    In training mode the estimator draws the sample, with its gradient. In evaluation mode it is an
    exact draw of the discrete distribution, without gradient.

    Args:
        relaxation: a relaxation, or the name of one.
        temperature: positive number, kept in a buffer, so that it is saved with the model and
            compiled code is not compiled again when it changes. Set it with
            :meth:`set_temperature`.
        estimator: an estimator that acts through the sample, or the name of one.
        learn_temperature: make (the logarithm of) the temperature a parameter instead.
        options: options of the relaxation, if it was given by name.

    Raises:
        UnknownName: if there is no such relaxation or estimator.
        ConfigurationError: if an option is missing, unknown or illegal.
        TypeError: if there are options and the relaxation is not given by name.
        Unsupported: if the estimator does not act through a sample, or lacks what it needs.

    Example:
        >>> import torch, relaxit
        >>> from torch import nn
        >>> net = nn.Sequential(
        ...     nn.Linear(8, 6), nn.Unflatten(-1, (2, 3)),
        ...     relaxit.Relax("categorical", categories=3, temperature=0.5),
        ...     nn.Flatten(-2), nn.Linear(6, 8))
        >>> net(torch.zeros(5, 8)).shape
        torch.Size([5, 8])
    """

    fixed_temperature: Tensor

    def __init__(
        self,
        relaxation: Relaxation | str,
        temperature: float = 1.0,
        estimator: SampleEstimator | str = "pathwise",
        learn_temperature: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        if options and not isinstance(relaxation, str):
            raise TypeError(f"{relaxation!r} has its options already; omit {', '.join(options)}")
        self.relaxation = get(relaxation, **options) if isinstance(relaxation, str) else relaxation
        chosen = find_estimator(estimator) if isinstance(estimator, str) else estimator
        if not isinstance(chosen, SampleEstimator):
            raise Unsupported(f"estimator {chosen.name!r} does not act through a sample")
        chosen.check(self.relaxation)
        self.estimator = chosen
        check_temperature_value(temperature)
        start = torch.tensor(float(temperature))
        self.learned = learn_temperature
        if learn_temperature:
            self.log_temperature = nn.Parameter(start.log())
        else:
            self.register_buffer("fixed_temperature", start)

    @property
    def temperature(self) -> Tensor:
        """The temperature, a 0-dim tensor."""
        return self.log_temperature.exp() if self.learned else self.fixed_temperature

    @torch.no_grad()
    def set_temperature(self, temperature: float) -> None:
        """Change the temperature in place.

        Raises:
            DomainError: if it is not finite and positive.
        """
        check_temperature_value(temperature)
        if self.learned:
            self.log_temperature.fill_(temperature).log_()
        else:
            self.fixed_temperature.fill_(temperature)

    def forward(self, params: Tensor) -> Tensor:
        q = self.relaxation(params, self.temperature)
        with without_autocast(params):
            return self.estimator.sample(q) if self.training else q.sample_hard()

    def extra_repr(self) -> str:
        return f"{self.relaxation!r}, estimator={self.estimator.name!r}"
