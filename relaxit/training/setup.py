"""What a task is given for a run: the discrete variables of its model, seed and precision."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from relaxit.aliases import Generator
from relaxit.errors import ConfigurationError
from relaxit.estimators import Cost, Estimator, surrogate_with
from relaxit.relaxation import Relaxation, RelaxedDistribution
from relaxit.training.precision import Precision, autocast

__all__ = ["ESTIMATOR_STATE", "Setup", "Variable", "state_name"]

ESTIMATOR_STATE = "estimator_state"
"""Name of the submodule that holds the estimator's state, for estimators that have one."""


def state_name(variable: str = "") -> str:
    """Return the name of the submodule with the state of a variable's estimator.

    Args:
        variable: name of a further variable; empty for the first.
    """
    return f"{ESTIMATOR_STATE}_{variable}" if variable else ESTIMATOR_STATE


@dataclass(frozen=True)
class Variable:
    """Discrete variables of one structure: their relaxation, estimator and number.

    Attributes:
        relaxation: the discrete structure.
        estimator: the gradient estimator for its samples.
        latents: number of latent variables.
        name: name of a further variable of a task; empty for the first.
    """

    relaxation: Relaxation
    estimator: Estimator
    latents: int = 1
    name: str = field(default="", kw_only=True)

    @property
    def params_shape(self) -> torch.Size:
        """Shape of the parameters of all latent variables, ``[latents, *param_shape]``."""
        return torch.Size((self.latents, *self.relaxation.param_shape))

    def distribution(
        self, params: Tensor, temperature: float | Tensor = 1.0
    ) -> RelaxedDistribution:
        """Return the relaxed distribution, without checks of values, which synchronise a GPU."""
        return self.relaxation(params, temperature, validate_args=False)

    def surrogate(
        self, model: nn.Module, q: RelaxedDistribution, cost: Cost, generator: Generator = None
    ) -> Tensor:
        """Return costs of a sample with the estimator's gradient, using its state in the model."""
        state = getattr(model, state_name(self.name), None)
        return surrogate_with(state, self.estimator, q, cost, generator)


@dataclass(frozen=True)
class Setup(Variable):
    """The first variable of a model with its settings, and the others by name.

    Attributes:
        batch_size: examples per step.
        seed: seed of the run.
        precision: precision of the networks' matmuls in training, see :meth:`autocast`.
        others: further variables by name, see :attr:`Task.variables`.

    Example:
        >>> import relaxit
        >>> setup = Setup(relaxit.get("binary"), relaxit.estimator("pathwise"), latents=8)
        >>> setup.params_shape, setup.distribution(torch.zeros(3, 8)).batch_shape
        (torch.Size([8]), torch.Size([3, 8]))
    """

    batch_size: int = 100
    seed: int = 0
    precision: Precision = "float32"
    others: Mapping[str, Variable] = field(default_factory=dict)

    @property
    def variables(self) -> dict[str, Variable]:
        """All variables by name; the first has the empty name."""
        return {"": self, **self.others}

    def variable(self, name: str) -> Variable:
        """Return a further variable.

        Raises:
            ConfigurationError: if the run has none of this name.
        """
        if name not in self.others:
            raise ConfigurationError(
                f"the run has no variables {name!r}; set variables.{name}.relaxation in the recipe"
            )
        return self.others[name]

    def autocast(self, device: torch.device) -> AbstractContextManager[None]:
        """Return the autocast context for the networks of a training step, and nothing else.

        Its outputs may be bfloat16: params of a distribution and terms of a loss must be cast back
        to float32. A task that uses this context declares it, see :attr:`Task.autocasts`.
        """
        return autocast(self.precision, device)
