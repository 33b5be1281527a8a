"""A copy of everything that a step changes, to undo trial steps."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from relaxit.training.step import State

__all__ = ["Snapshot"]


class Snapshot:
    """A copy of everything that a step changes, to undo trial steps.

    Tensors keep their addresses: :meth:`restore` copies in place.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self.plain = dict(self._plain())
        self.copies = {name: tensor.clone() for name, tensor in self._tensors()}
        self.noise = state.generator.get_state()

    def require_tensors(self) -> None:
        """Raise if a step has changed an attribute of the model that is not a tensor.

        Engines other than eager would use the value from their setup in every step.

        Raises:
            RuntimeError: naming the attribute.
        """
        for name, value in self._plain():
            if value != self.plain.get(name, value):
                raise RuntimeError(f"a step changes {name} of the model, which is not a tensor")

    def _plain(self) -> Iterator[tuple[str, object]]:
        for path, module in self.state.experiment.model.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, int | float | str):
                    yield f"{path}.{name}".lstrip("."), value

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        state, e = self.state, self.state.experiment
        for part, module in (("model", e.model), ("temperature", e.temperature)):
            for name, tensor in (*module.named_parameters(), *module.named_buffers()):
                yield f"{part} {name}", tensor.detach()
        yield "totals", state.totals
        yield "guard", state.guard.first_bad.step
        for number, moments in enumerate(state.optimizer.state.values()):
            for name, moment in moments.items():
                if isinstance(moment, Tensor):
                    yield f"moment {number} {name}", moment

    @torch.no_grad()
    def restore(self) -> None:
        """Restore the copies. Moments of the optimizer that did not exist yet become 0."""
        for name, tensor in self._tensors():
            if name in self.copies:
                tensor.copy_(self.copies[name])
            else:
                tensor.zero_()
        for name, value in self.plain.items():
            path, _, leaf = name.rpartition(".")
            setattr(self.state.experiment.model.get_submodule(path), leaf, value)
        self.state.generator.set_state(self.noise)
        self.state.optimizer.zero_grad(set_to_none=True)
