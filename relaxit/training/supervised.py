"""A task with targets from three functions: a network chooses, and a loss judges the choice."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from relaxit.aliases import Generator
from relaxit.data import Examples, Requirement
from relaxit.perturb import PerturbAndRelax
from relaxit.relaxation import RelaxedDistribution
from relaxit.training.display import Display
from relaxit.training.setup import Setup
from relaxit.training.task import Step, Task, Terms

__all__ = ["Supervised"]

_ROWS = 1000  # examples evaluated at a time


class Supervised(Task):
    """A task whose model makes a discrete choice for each example, judged by a loss.

    Write :meth:`build`, :meth:`params` and :meth:`loss`. Training minimises the loss of a sample
    of the choice with the estimator's gradient, plus :meth:`penalty`; evaluation takes the most
    likely choice. Metrics beside the loss are those of :meth:`measure`.

    Example:
        >>> import relaxit
        >>> from torch.nn.functional import cross_entropy
        >>> class Experts(nn.Module):
        ...     def __init__(self, inputs, experts, classes):
        ...         super().__init__()
        ...         self.router = nn.Linear(inputs, experts)
        ...         self.experts = nn.Linear(inputs, experts * classes)
        >>> class Route(Supervised):
        ...     api, name, summary = 2, "route", "a classifier with one expert per example"
        ...     def build(self, setup, format):
        ...         experts = setup.relaxation.event_shape[0]
        ...         return Experts(format.inputs.entries, experts, format.targets.classes)
        ...     def params(self, setup, model, batch):
        ...         return model.router(batch.inputs)  # [B, experts]
        ...     def loss(self, setup, model, batch, z):  # [..., B, experts] -> [..., B]
        ...         logits = model.experts(batch.inputs).unflatten(-1, (z.shape[-1], -1))
        ...         mixed = (z.unsqueeze(-1) * logits).sum(-2)
        ...         targets = batch.targets.expand(mixed.shape[:-1])
        ...         return cross_entropy(mixed.movedim(-1, 1), targets, reduction="none")
        >>> setup = Setup(relaxit.get("categorical", categories=4), relaxit.estimator("pathwise"))
        >>> batch = Examples.of(inputs=torch.ones(5, 3), targets=[0, 1, 1, 0, 1])
        >>> from relaxit.data import Splits
        >>> model = Route().build(setup, Splits(batch).format)
        >>> now = Step(torch.tensor(1.0), torch.Generator().manual_seed(0))
        >>> Route().terms(setup, model, batch, now).loss.shape
        torch.Size([5])
    """

    targets: ClassVar[Requirement] = Requirement()
    """What the column ``targets`` must be."""
    display = Display(
        line="loss {train_loss:.4f}, of the most likely choice: test {test_loss:.4f}",
        title="loss of the most likely choice (of samples in training: {train_loss:.4f})",
        columns={"loss": "loss"},
    )

    def requires(self, setup: Setup) -> Mapping[str, Requirement]:
        return {"inputs": Requirement(), "targets": self.targets}

    def statement(self, setup: Setup) -> str:
        kind = "hard" if setup.estimator.hard else "soft"
        return f"loss of {kind} samples of {setup.relaxation!r}"

    @abstractmethod
    def params(self, setup: Setup, model: nn.Module, batch: Examples) -> Tensor:
        """Return the params of the choices of a batch, ``[*batch_shape, *param_shape]``."""

    @abstractmethod
    def loss(self, setup: Setup, model: nn.Module, batch: Examples, z: Tensor) -> Tensor:
        """Return the loss of each example ``[..., B]``, for choices that may be soft.

        Args:
            setup: settings that are fixed for the run.
            model: the model that :meth:`build` returned.
            batch: the examples.
            z: values of the choices, ``[..., *batch_shape, *event_shape]``.
        """

    def penalty(
        self, setup: Setup, model: nn.Module, batch: Examples, q: RelaxedDistribution
    ) -> Tensor | float:
        """Return what is added to the loss, 0-dim or ``[B]``, such as a term of exact marginals.

        Args:
            setup: settings that are fixed for the run.
            model: the model that :meth:`build` returned.
            batch: the examples.
            q: distribution of the choices, with gradient.
        """
        del setup, model, batch, q
        return 0.0

    def measure(
        self, setup: Setup, model: nn.Module, batch: Examples, z: Tensor
    ) -> Mapping[str, Tensor]:
        """Return further metrics ``[B]`` of the most likely choices, named by :attr:`metrics`."""
        del setup, model, batch, z
        return {}

    def encode(self, setup: Setup, model: nn.Module, inputs: Tensor) -> Tensor:
        return self.params(setup, model, Examples({"inputs": inputs}))

    def choose(self, setup: Setup, params: Tensor, generator: Generator = None) -> Tensor:
        """Return the most likely choices; a hard sample where there is no mode and no argmax."""
        q, relaxation = setup.distribution(params.detach()), setup.relaxation
        if relaxation.capabilities.discrete_distribution:
            mode: Tensor = q.discrete.mode
            return mode
        if isinstance(relaxation, PerturbAndRelax):
            return relaxation.argmax(params.detach())
        return q.sample_hard((), generator)

    def terms(self, setup: Setup, model: nn.Module, batch: Examples, step: Step) -> Terms:
        params = self.params(setup, model, batch)
        q = setup.distribution(params, step.temperature)

        def cost(z: Tensor) -> Tensor:
            return self.loss(setup, model, batch, z)

        loss = setup.surrogate(model, q, cost, step.generator)
        loss = loss + self.penalty(setup, model, batch, q)
        measured: Mapping[str, Tensor] = {}
        if self.metrics:
            with torch.no_grad():
                z = self.choose(setup, params, step.generator)
                measured = self.measure(setup, model, batch, z)
        return Terms(loss, measured)

    def evaluate(
        self, setup: Setup, model: nn.Module, part: Examples, seed: int
    ) -> dict[str, float]:
        generator = torch.Generator(part.device).manual_seed(seed)
        totals: dict[str, float] = {}
        for batch in part.batches(_ROWS, generator):
            z = self.choose(setup, self.params(setup, model, batch), generator)
            loss = self.loss(setup, model, batch, z)
            for name, values in {"loss": loss, **self.measure(setup, model, batch, z)}.items():
                totals[name] = totals.get(name, 0.0) + float(values.sum())
        return {name: total / len(part) for name, total in totals.items()}
