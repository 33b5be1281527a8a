"""Watches for a loss that is not finite, and keeps weights from before it."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from relaxit.errors import DivergenceError

__all__ = ["DivergenceGuard", "FirstBad"]

_SNAPSHOT_EVERY = 50


class FirstBad:
    """The first step whose loss was not finite; no device is waited for.

    Args:
        shape: of the losses, one for each of several runs.
        device: where they are.

    Attributes:
        step: int64 of that shape; -1 where there was none.
    """

    def __init__(self, shape: tuple[int, ...], device: torch.device) -> None:
        self.step = torch.full(shape, -1, dtype=torch.int64, device=device)

    def see(self, loss: Tensor, step: int | Tensor) -> None:
        bad = ~loss.detach().isfinite() & (self.step < 0)
        # Not masked_fill_: it would wait for a step that is on a GPU.
        self.step.copy_(torch.where(bad, step, self.step))


class DivergenceGuard:
    """Remembers the first step whose loss was not finite, without making a GPU wait.

    Args:
        tensors: parameters to keep a good copy of.
        device: where they are.
    """

    def __init__(self, tensors: Iterable[Tensor], device: torch.device) -> None:
        self.live = [tensor.detach() for tensor in tensors]
        self.good = [tensor.clone() for tensor in self.live]
        self.good_step = torch.zeros((), dtype=torch.int64, device=device)
        self.clock = torch.zeros((), dtype=torch.int64, device=device)
        self.first_bad = FirstBad((), device)

    def begin(self, step: int) -> None:
        """Call before each step; every fiftieth time the weights are kept if they are sound."""
        self.clock.fill_(step)
        if step % _SNAPSHOT_EVERY == 0 and step:
            sound = (self.first_bad.step < 0) & self._finite()
            for good, live in zip(self.good, self.live, strict=True):
                good.copy_(torch.where(sound, live, good))
            self.good_step.copy_(torch.where(sound, self.clock, self.good_step))

    def see(self, loss: Tensor) -> None:
        """Take note of the loss of the step that was begun. Waits for nothing."""
        self.first_bad.see(loss, self.clock)

    def trust(self, step: int) -> None:
        """Take the weights as they are for good, as after loading a saved state."""
        _copy(self.live, self.good)
        self.good_step.fill_(step)

    def check_weights(self, step: int) -> None:
        """Look now, at the losses so far and at the weights that the last of them led to.

        Raises:
            DivergenceError: as :meth:`settle`.
        """
        self.settle()
        if not bool(self._finite()):
            self.first_bad.step.fill_(step)
            self.settle()

    def settle(self) -> None:
        """Look now, which waits for the device.

        Raises:
            DivergenceError: naming the first bad step; the weights are the last good ones again.
        """
        first_bad = int(self.first_bad.step)
        if first_bad < 0:
            return
        _copy(self.good, self.live)
        raise DivergenceError(
            f"the loss is not finite at step {first_bad}; the weights of step "
            f"{int(self.good_step)} were kept. A lower --lr or a higher --temperature usually helps"
        )

    def _finite(self) -> Tensor:
        return torch.stack([tensor.isfinite().all() for tensor in self.live]).all()


def _copy(sources: list[Tensor], targets: list[Tensor]) -> None:
    for source, target in zip(sources, targets, strict=True):
        target.copy_(source)
