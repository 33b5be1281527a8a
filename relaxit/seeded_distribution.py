"""Distributions whose samples take a ``generator=``, which those of PyTorch do not."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

from relaxit import shapes
from relaxit.aliases import Generator, Shape
from relaxit.errors import Unsupported
from relaxit.pyro_mixin import join_pyro
from relaxit.tracing import gradients_off

__all__ = ["SeededDistribution"]


class SeededDistribution(Distribution):
    """PyTorch's base class with ``generator=`` in ``sample`` and ``rsample``.

    What :attr:`relaxit.RelaxedDistribution.discrete` and ``log_space`` return is one. Base class of
    :class:`relaxit.RelaxedDistribution` and :class:`relaxit.DiscreteDistribution`. Pyro takes
    instances in ``pyro.sample`` as they are, if it was imported before they were made.

    Example:
        >>> import torch, relaxit
        >>> q = relaxit.get("categorical", categories=3)(torch.zeros(3))
        >>> isinstance(q.discrete, SeededDistribution), isinstance(q.log_space, SeededDistribution)
        (True, True)
        >>> q.log_space.sample((2,), generator=torch.Generator().manual_seed(0)).shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        batch_shape: torch.Size = torch.Size(),
        event_shape: torch.Size = torch.Size(),
        validate_args: bool | None = None,
    ) -> None:
        join_pyro(SeededDistribution)
        super().__init__(batch_shape, event_shape, validate_args)

    def rsample(self, sample_shape: Shape = torch.Size(), generator: Generator = None) -> Tensor:
        """Draw samples ``[*sample, *batch, *event]`` with pathwise gradient.

        Raises:
            Unsupported: if there is none, as for discrete values.
        """
        raise Unsupported(
            f"{type(self).__name__} has no samples with pathwise gradient; use sample"
        )

    def sample(self, sample_shape: Shape = torch.Size(), generator: Generator = None) -> Tensor:
        """Draw samples ``[*sample, *batch, *event]`` without gradient."""
        with gradients_off():
            return self.rsample(sample_shape, generator)

    def check_value(self, value: object) -> None:
        """Reject what is not a tensor ``[..., *event]`` that broadcasts against the batch.

        To be called first in ``log_prob``, whether or not values are checked.

        Raises:
            DomainError: if the value is not a tensor. A ValueError, as torch's distributions raise.
            ShapeError: if its shape does not fit. Also a ValueError.
        """
        shapes.check_value(type(self).__name__, value, self.batch_shape, self.event_shape)
