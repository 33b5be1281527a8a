"""Detects a loss that is not finite, and keeps a copy of the weights from before it."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from relaxit.errors import DivergenceError

__all__ = ["DivergenceGuard", "FirstBad"]

_SNAPSHOT_EVERY = 50


class FirstBad:
    """Records the first step whose loss was not finite, without synchronising.

    Args:
        shape: shape of the losses, one for each of several runs.
        device: device of the losses.

    Attributes:
        step: first such step, int64 of the same shape; -1 where all losses were finite.
    """

    def __init__(self, shape: tuple[int, ...], device: torch.device) -> None:
        self.step = torch.full(shape, -1, dtype=torch.int64, device=device)

    def see(self, loss: Tensor, step: int | Tensor) -> None:
        bad = ~loss.detach().isfinite() & (self.step < 0)
        # Not masked_fill_, which synchronises if the step is on a GPU.
        self.step.copy_(torch.where(bad, step, self.step))


class DivergenceGuard:
    """Records the first step whose loss was not finite, without synchronising a GPU.

    Args:
        tensors: parameters of which a good copy is kept.
        device: device of the parameters.
    """

    def __init__(self, tensors: Iterable[Tensor], device: torch.device) -> None:
        self.live = [tensor.detach() for tensor in tensors]
        self.good = [tensor.clone() for tensor in self.live]
        self.good_step = torch.zeros((), dtype=torch.int64, device=device)
        self.clock = torch.zeros((), dtype=torch.int64, device=device)
        self.first_bad = FirstBad((), device)

    def begin(self, step: int) -> None:
        """Begin a step; every fiftieth time the weights are copied if they are finite."""
        self.clock.fill_(step)
        if step % _SNAPSHOT_EVERY == 0 and step:
            sound = (self.first_bad.step < 0) & self._finite()
            for good, live in zip(self.good, self.live, strict=True):
                good.copy_(torch.where(sound, live, good))
            self.good_step.copy_(torch.where(sound, self.clock, self.good_step))

    def see(self, loss: Tensor) -> None:
        """Record the loss of the current step, without synchronising."""
        self.first_bad.see(loss, self.clock)

    def trust(self, step: int) -> None:
        """Accept the current weights as good, for example after loading a saved state."""
        _copy(self.live, self.good)
        self.good_step.fill_(step)

    def check_weights(self, step: int) -> None:
        """Check the losses so far, and the weights after the last update. Synchronises.

        Raises:
            DivergenceError: as :meth:`settle`.
        """
        self.settle()
        if not bool(self._finite()):
            self.first_bad.step.fill_(step)
            self.settle()

    def settle(self) -> None:
        """Check the losses so far. Synchronises the device.

        Raises:
            DivergenceError: naming the first bad step; the last good weights are restored.
        """
        first_bad = int(self.first_bad.step)
        if first_bad < 0:
            return
        _copy(self.good, self.live)
        error = DivergenceError(
            f"the loss is not finite at step {first_bad}; the weights of step "
            f"{int(self.good_step)} were kept. A lower --lr or a higher --temperature usually helps"
        )
        error.step = first_bad
        raise error

    def _finite(self) -> Tensor:
        return torch.stack([tensor.isfinite().all() for tensor in self.live]).all()


def _copy(sources: list[Tensor], targets: list[Tensor]) -> None:
    for source, target in zip(sources, targets, strict=True):
        target.copy_(source)
