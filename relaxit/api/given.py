"""What :func:`relaxit.fit` hands to the trainer: a task made of a module and a loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import constraints

from relaxit.aliases import Generator
from relaxit.data import Examples, Format
from relaxit.relaxation import Capabilities, Relaxation
from relaxit.training import Display, Setup, Step, Task, Terms

__all__ = ["Given", "Loss", "Measure", "NoStructure"]

Loss = Callable[[nn.Module, Examples, Step], Tensor]
Measure = Callable[[nn.Module, Examples], Tensor]
_ROWS = 1000  # examples evaluated at a time


class NoStructure(Relaxation):
    """Stands where a run names its structure: the structures are inside of the module."""

    api = 1
    name = "none"
    capabilities = Capabilities(density=False, discrete_distribution=False, exact_rounding=False)
    event_shape = param_shape = torch.Size([])
    support = vertices = constraints.real

    def rsample(
        self,
        params: Tensor,
        temperature: float | Tensor,
        shape: torch.Size,
        generator: Generator = None,
    ) -> Tensor:
        raise self.unsupported("rsample: its module has the structures")

    def hard(self, soft: Tensor) -> Tensor:
        raise self.unsupported("hard: its module has the structures")


class Given(Task):
    """The task of a module and a loss.

    Args:
        loss: function of module, batch and step.
        measures: further metrics by name, functions of module and batch.
        temperature: returns the current temperature, for the loss in evaluation.
    """

    api = 2
    name = "fit"
    summary = "a module and a loss"
    loss: Loss
    measures: Mapping[str, Measure]
    temperature: Callable[[], Tensor]

    def __init__(
        self,
        loss: Loss,
        measures: Mapping[str, Measure],
        temperature: Callable[[], Tensor],
    ) -> None:
        super().__init__()
        shown = ", ".join(f"{name} {{test_{name}:.4f}}" for name in ("loss", *measures))
        display = Display(
            line=f"loss {{train_loss:.4f}}, test {shown}",
            title="training loss {train_loss:.4f}",
            columns={name: name for name in ("loss", *measures)},
        )
        values: dict[str, Any] = {
            "loss": loss,
            "measures": measures,
            "temperature": temperature,
            "display": display,
        }
        for name, value in values.items():  # the class is frozen
            object.__setattr__(self, name, value)

    def statement(self, setup: Setup) -> str:
        return f"loss {getattr(self.loss, '__name__', 'of the given function')}"

    def build(self, setup: Setup, format: Format) -> nn.Module:
        self._absent("module to build: relaxit.fit is given one")

    def terms(self, setup: Setup, model: nn.Module, batch: Examples, step: Step) -> Terms:
        return Terms(self._losses(model, batch, step))

    def evaluate(
        self, setup: Setup, model: nn.Module, part: Examples, seed: int
    ) -> dict[str, float]:
        generator = torch.Generator(part.device).manual_seed(seed)
        step = Step(self.temperature().detach(), generator)
        totals = dict.fromkeys(("loss", *self.measures), 0.0)
        for batch in part.batches(_ROWS, generator):
            totals["loss"] += float(self._losses(model, batch, step).sum())
            for name, measure in self.measures.items():
                values = measure(model, batch)
                totals[name] += float(values.float().mean()) * len(batch)
        return {name: total / len(part) for name, total in totals.items()}

    def _losses(self, model: nn.Module, batch: Examples, step: Step) -> Tensor:
        loss = self.loss(model, batch, step)
        return loss.expand(len(batch)) if not loss.dim() else loss
