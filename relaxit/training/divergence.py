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

    def see(self, loss: Tensor, step: int) -> None:
        bad = ~loss.detach().isfinite() & (self.step < 0)
        self.step.masked_fill_(bad, step)


class DivergenceGuard:
    """Remembers the first step whose loss was not finite, without making a GPU wait for each.

    Args:
        tensors: parameters to keep a good copy of.
        device: on the CPU every step is looked at, elsewhere every fiftieth.
    """

    def __init__(self, tensors: Iterable[Tensor], device: torch.device) -> None:
        self.live = [tensor.detach() for tensor in tensors]
        self.good = [tensor.clone() for tensor in self.live]
        self.good_step = 0
        self.first_bad = FirstBad((), device)
        self.look_every = 1 if device.type == "cpu" else _SNAPSHOT_EVERY

    def watch(self, loss: Tensor, step: int) -> None:
        """Call with the loss before the weights of ``step`` are changed.

        Raises:
            DivergenceError: naming the first bad step; the weights are the last good ones again.
        """
        self.first_bad.see(loss, step)
        if step % self.look_every:
            return
        self.settle()
        if step % _SNAPSHOT_EVERY == 0:
            self.trust(step)  # their loss was finite

    def trust(self, step: int) -> None:
        """Take the weights as they are for good, as after loading a saved state."""
        torch._foreach_copy_(self.good, self.live)
        self.good_step = step

    def check_weights(self, step: int) -> None:
        """Look now, at the losses so far and at the weights that the last of them led to.

        Raises:
            DivergenceError: as :meth:`watch`.
        """
        self.settle()
        if not all(bool(tensor.isfinite().all()) for tensor in self.live):
            self.first_bad.step.fill_(step)
            self.settle()

    def settle(self) -> None:
        """Look now. Raises as :meth:`watch`."""
        first_bad = int(self.first_bad.step)
        if first_bad < 0:
            return
        torch._foreach_copy_(self.live, self.good)
        raise DivergenceError(
            f"the loss is not finite at step {first_bad}; the weights of step {self.good_step} "
            "were kept. A lower --lr or a higher --temperature usually helps"
        )
