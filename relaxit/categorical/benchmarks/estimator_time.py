"""Time of one gradient with each estimator, by default on categories and bits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from relaxit import Options, Relaxation, StatefulEstimator
from relaxit.bench import Benchmark, Implementation, Unavailable
from relaxit.errors import ConfigurationError, RelaxitError
from relaxit.estimators import Estimator, surrogate_with
from relaxit.plugins import default_registry

__all__ = ["EstimatorTime", "EstimatorTimeOptions"]

_REFERENCE = "st-gumbel"
_ENTRIES = 64_000  # of the presets, whose columns can therefore be compared


class EstimatorTimeOptions(Options):
    """Options of :class:`EstimatorTime`."""

    relaxation: str = Field("categorical", description="registered name of the relaxation")
    relaxation_options: tuple[str, ...] = Field(
        ("categories=10",), description="options of the relaxation, each KEY=VALUE"
    )
    variables: int = Field(1, ge=1, description="number of variables that one cost depends on")
    entries: int = Field(
        6400, ge=1, description="number of params; the batch has as many rows as this allows"
    )
    temperature: float = Field(1.0, gt=0, description="temperature of the relaxed distribution")
    evaluations: int = Field(
        1024, ge=1, description="estimators that evaluate the cost more often are left out"
    )


class EstimatorTime(Benchmark):
    """One estimate of a gradient, forward and backward: sample, cost, surrogate, backward pass.

    The cost of a row is ``(w . z)**2``, which takes one pass over the value, so the times are those
    of the estimators and not of the cost. The implementations are all registered estimators with
    their default options. One that keeps a state is timed without it and, as ``(warm)``, with a
    state in training mode, whose update and gradient are then part of the time.

    The presets have ten times as many params as other runs by default, since some structures need
    much more time and memory for each.
    """

    api = 1
    name = "estimator-time"
    summary = f"one estimate of a gradient, forward and backward, in units of {_REFERENCE}"
    group = "gradients"
    Options = EstimatorTimeOptions
    options: EstimatorTimeOptions
    presets: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"relaxation_options": ("categories=10",), "entries": _ENTRIES},
        {"relaxation_options": ("categories=512",), "entries": _ENTRIES},
        {"relaxation_options": ("categories=32000",), "entries": _ENTRIES},
        {"relaxation": "binary", "relaxation_options": (), "variables": 64, "entries": _ENTRIES},
    )

    def implementations(self, device: torch.device) -> Sequence[Implementation]:
        relaxation = self._relaxation()
        found = []
        for name, kind in default_registry().items("estimator").items():
            for warm in (False, True) if issubclass(kind, StatefulEstimator) else (False,):
                make = partial(self._make, relaxation, kind, warm, device)
                label = f"{name} (warm)" if warm else name
                found.append(Implementation(label, make, reference=label == _REFERENCE))
        return found

    def inputs(self, device: torch.device) -> tuple[Tensor, ...]:
        """Return params ``[rows, variables, *param_shape]`` and weights ``[variables, *event]``."""
        relaxation, variables = self._relaxation(), self.options.variables
        rows = max(1, self.options.entries // (variables * relaxation.param_shape.numel()))
        generator = torch.Generator().manual_seed(0)
        params = torch.randn(rows, variables, *relaxation.param_shape, generator=generator)
        weights = torch.randn(variables, *relaxation.event_shape, generator=generator)
        return params.to(device), weights.to(device)

    def _relaxation(self) -> Relaxation:
        kind = default_registry().find("relaxation", self.options.relaxation)
        texts: dict[str, str] = {}
        for text in self.options.relaxation_options:
            key, equals, value = text.partition("=")
            if not equals:
                raise ConfigurationError(f"relaxation_options must be KEY=VALUE, got {text!r}")
            texts[key] = value
        built: Relaxation = kind(**kind.parse(texts))
        return built

    def _make(
        self, relaxation: Relaxation, kind: type[Estimator], warm: bool, device: torch.device
    ) -> Callable[[], Tensor]:
        """Return the call that computes one estimate for each row.

        Raises:
            Unavailable: if the estimator does not apply, or evaluates the cost too often.
        """
        temperature, variables = self.options.temperature, self.options.variables
        params, weights = self.inputs(device)
        params.requires_grad_()
        dims = weights.dim()
        try:
            estimator = kind()
            estimator.check(relaxation)
            estimator.check_joint(relaxation, variables)
            self._require_few(estimator, relaxation)
            state = None
            if warm and isinstance(estimator, StatefulEstimator):
                state = estimator.build_state(relaxation, variables).to(params).train()
        except RelaxitError as error:
            raise Unavailable(str(error)) from error
        learned = [w for w in state.parameters() if w.requires_grad] if state else []

        def cost(z: Tensor) -> Tensor:  # [..., variables, *event] -> [...]
            return (z.flatten(-dims) @ weights.flatten()).square()

        def call() -> Tensor:
            try:
                q = relaxation(params, temperature)
                total = surrogate_with(state, estimator, q, cost).sum()
                wanted = [params, *learned]
                gradient, *_ = torch.autograd.grad(total, wanted, allow_unused=bool(learned))
            except RelaxitError as error:  # it was noticed only now that it does not apply
                raise Unavailable(str(error)) from error
            return gradient

        return call

    def _require_few(self, estimator: Estimator, relaxation: Relaxation) -> None:
        number = estimator.evaluations(relaxation, self.options.variables)
        if number > self.options.evaluations:
            raise ConfigurationError(
                f"estimator {estimator.name!r} evaluates the cost {number} times for one estimate, "
                f"more than evaluations = {self.options.evaluations}"
            )
