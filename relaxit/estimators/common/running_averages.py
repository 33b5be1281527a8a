"""Moving averages of the costs of earlier steps, for baselines."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from relaxit.tracing import calls_operators

__all__ = ["RunningMoments"]


@torch.library.custom_op("relaxit::held", mutates_args=())
def _held(x: Tensor) -> Tensor:
    """Copy a tensor so that a compiler keeps it for the backward pass.

    Otherwise the compiler recomputes such a small number there, from a buffer that has been updated
    in between: torch.compile does not notice this (torch 2.15), and the baseline would contain the
    cost that it is subtracted from.
    """
    return x.clone()


@_held.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x)


@_held.register_vmap
def _(info: Any, in_dims: tuple[int, ...], x: Tensor) -> tuple[Tensor, int]:
    del info
    return _held(x), in_dims[0]


class RunningMoments(nn.Module):
    """Mean and standard deviation of the costs so far, as exponential moving averages.

    They start at 0 and are bias-corrected, as in Adam. The first mean is subtracted from the costs,
    so that a spread that is small compared with the costs is not lost in float32. Costs that are
    not finite are ignored. No branch depends on a value, so that there is no wait for a device and
    stacked copies of the buffers run under ``torch.func.vmap``.

    Args:
        decay: weight of the past, from 0 (the last step alone) to 1.

    Example:
        >>> moments = RunningMoments(0.9)
        >>> moments.mean().item()
        0.0
        >>> moments.update(torch.tensor([1.0, 3.0]))
        >>> round(moments.mean().item(), 4), round(moments.deviation().item(), 4)
        (2.0, 1.0)
    """

    origin: Tensor
    first: Tensor
    second: Tensor
    weight: Tensor

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay
        for name in ("origin", "first", "second", "weight"):
            self.register_buffer(name, torch.zeros(()))

    def mean(self) -> Tensor:
        """Return the mean of the costs so far, 0 before the first; updates do not change it."""
        return _kept(self.origin + self.first / self._weight())

    def deviation(self) -> Tensor:
        """Return the standard deviation of the costs so far, 0 before the first."""
        mean, square = self.first / self._weight(), self.second / self._weight()
        return _kept((square - mean.square()).clamp_min(0.0).sqrt())

    def _weight(self) -> Tensor:
        return self.weight.clamp_min(torch.finfo(self.weight.dtype).tiny)

    @torch.no_grad()
    def update(self, costs: Tensor) -> None:
        """Update the averages in place with the costs of a step, of any shape."""
        if not costs.numel():
            return
        costs = costs.detach().to(self.first.dtype)
        mean = costs.mean()
        sound = mean.isfinite()
        self.origin.copy_(torch.where((self.weight == 0) & sound, mean, self.origin))
        shifted = costs - self.origin
        news = (shifted.mean(), shifted.square().mean(), torch.ones_like(self.weight))
        for average, new in zip((self.first, self.second, self.weight), news, strict=True):
            average.copy_(torch.where(sound, average.lerp(new, 1 - self.decay), average))


def _kept(x: Tensor) -> Tensor:
    copy: Tensor = _held(x) if calls_operators() else x
    return copy
