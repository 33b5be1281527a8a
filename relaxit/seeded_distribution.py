"""Distributions whose samples take a ``generator=``, which those of PyTorch do not."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

from relaxit.aliases import Generator, Shape
from relaxit.errors import Unsupported

__all__ = ["SeededDistribution"]


class SeededDistribution(Distribution):
    """PyTorch's base class with ``generator=`` in ``sample`` and ``rsample``.

    What :attr:`relaxit.RelaxedDistribution.discrete` and ``log_space`` return is one. Base class of
    :class:`relaxit.RelaxedDistribution` and :class:`relaxit.DiscreteDistribution`.

    Example:
        >>> import torch, relaxit
        >>> q = relaxit.get("categorical", categories=3)(torch.zeros(3))
        >>> isinstance(q.discrete, SeededDistribution), isinstance(q.log_space, SeededDistribution)
        (True, True)
        >>> q.log_space.sample((2,), generator=torch.Generator().manual_seed(0)).shape
        torch.Size([2, 3])
    """

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
        with torch.no_grad():
            return self.rsample(sample_shape, generator)
