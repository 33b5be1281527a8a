"""A trial: steps that are undone, to find what would fail before a run begins.

A run is tried when it is built (:mod:`relaxit.training.building`), when its step is compiled or
recorded, and when several runs are stacked. All of them use :func:`trial`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

__all__ = ["Trial", "trial"]


class Trial:
    """Copies of everything that a step changes.

    Args:
        modules: modules whose parameters, buffers and plain attributes a step may change, by name.
        tensors: further tensors that it changes in place.
        generators: generators that it draws from.
        optimizer: the optimizer, whose moments it changes.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        tensors: Sequence[Tensor] = (),
        generators: Sequence[torch.Generator] = (),
        optimizer: torch.optim.Optimizer | None = None,
    ) -> None:
        self.modules, self.further, self.generators = modules, tensors, generators
        self.optimizer = optimizer
        self.plain = dict(self._plain())
        self.copies = {name: tensor.clone() for name, tensor in self._tensors()}
        self.noise = [generator.get_state() for generator in generators]

    def require_tensors(self) -> None:
        """Raise if a step has changed an attribute of a module that is not a tensor.

        Engines other than eager would use the value from their setup in every step.

        Raises:
            RuntimeError: naming the attribute.
        """
        for (part, name), value in self._plain():
            if value != self.plain.get((part, name), value):
                raise RuntimeError(f"a step changes {name} of the {part}, which is not a tensor")

    def addresses(self) -> list[int]:
        """Return the addresses of all buffers, which a step may change but not replace."""
        modules = self.modules.values()
        return [buffer.data_ptr() for module in modules for buffer in module.buffers()]

    @torch.no_grad()
    def undo(self) -> None:
        """Restore the copies in place. Moments of the optimizer that are new become 0."""
        for name, tensor in self._tensors():
            if name in self.copies:
                tensor.copy_(self.copies[name])
            else:
                tensor.zero_()
        for (part, name), value in self.plain.items():
            path, _, leaf = name.rpartition(".")
            setattr(self.modules[part].get_submodule(path), leaf, value)
        for generator, state in zip(self.generators, self.noise, strict=True):
            generator.set_state(state)
        for module in self.modules.values():
            module.zero_grad(set_to_none=True)

    def _plain(self) -> Iterator[tuple[tuple[str, str], object]]:
        for part, root in self.modules.items():
            for path, module in root.named_modules():
                for name, value in vars(module).items():
                    if isinstance(value, int | float | str):
                        yield (part, f"{path}.{name}".lstrip(".")), value

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        for part, module in self.modules.items():
            for name, tensor in (*module.named_parameters(), *module.named_buffers()):
                yield f"{part} {name}", tensor.detach()
        for number, tensor in enumerate(self.further):
            yield f"tensor {number}", tensor
        moments = self.optimizer.state.values() if self.optimizer else ()
        for number, state in enumerate(moments):
            for name, moment in state.items():
                if isinstance(moment, Tensor):
                    yield f"moment {number} {name}", moment


@contextlib.contextmanager
def trial(
    device: torch.device,
    modules: Mapping[str, nn.Module],
    tensors: Sequence[Tensor] = (),
    generators: Sequence[torch.Generator] = (),
    optimizer: torch.optim.Optimizer | None = None,
) -> Iterator[Trial]:
    """Context whose steps are undone at its end, also those of torch's global generators.

    Args:
        device: device of the run.
        modules, tensors, generators, optimizer: what a step changes, as for :class:`Trial`.
    """
    gpus = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):  # a task may draw from torch's global generator
        attempt = Trial(modules, tensors, generators, optimizer)
        try:
            yield attempt
        finally:
            attempt.undo()
