"""What a gradient problem is: params, a cost of hard values, and the gradient to be estimated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from relaxit.errors import ConfigurationError
from relaxit.estimators import Cost
from relaxit.gradients.enumeration import number_of_states
from relaxit.gradients.settings import GradientSettings
from relaxit.options import Configured
from relaxit.relaxation import Relaxation

__all__ = ["GradientProblem", "Point", "ProblemCase", "Surroundings"]


@dataclass(frozen=True)
class Point:
    """Params and a cost of the variables they belong to.

    Attributes:
        params: ``[variables, *param_shape]``.
        cost: maps values ``[..., variables, *event]`` to ``[...]``, in the dtype of params, each
            row for itself. Differentiable, and defined between the vertices too, where soft values
            lie.
        gradient: of the expected cost of hard values with respect to params, in their shape, where
            it is known in closed form; None where it is to be found by enumeration.
    """

    params: Tensor
    cost: Cost
    gradient: Tensor | None = None


@dataclass(frozen=True)
class ProblemCase:
    """Points that are measured together, in one table. Relative figures are over all of them.

    Attributes:
        label: tells it from the other cases of its problem; empty if there is none.
        relaxation: the structure.
        points: at least one.
    """

    label: str
    relaxation: Relaxation
    points: tuple[Point, ...]

    @property
    def variables(self) -> int:
        """Number of variables that one cost depends on."""
        return self.points[0].params.shape[0]


@dataclass(frozen=True)
class Surroundings:
    """What a problem finds around it.

    Attributes:
        device: where its tensors are to be.
        settings: how estimators are measured; its seed is that of params, costs and training too.
        relaxation: to be used in place of the problem's own; None for that.
        dataset: registered name of the pictures to use; None for the problem's own.
        data_dir: folder of their files; None for the usual one.
        progress: told what is being done.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    settings: GradientSettings = field(default_factory=GradientSettings)
    relaxation: Relaxation | None = None
    dataset: str | None = None
    data_dir: Path | None = None
    progress: Callable[[str], None] = lambda text: None

    @property
    def dtype(self) -> torch.dtype:
        """float64, so that rounding is no part of a bias; float32 on a device that lacks it."""
        return torch.float32 if self.device.type == "mps" else torch.float64

    def require_states(self, relaxation: Relaxation, variables: int) -> None:
        """Refuse, before anything else is done, what cannot be enumerated.

        Raises:
            ConfigurationError: if there are more joint values than ``settings.states``.
            Unsupported: if the relaxation has no discrete law, or does not list its values.
        """
        number = number_of_states(relaxation, variables)
        if number > self.settings.states:
            raise ConfigurationError(
                f"{number} joint values of {relaxation!r} ** {variables} are more than --states "
                f"{self.settings.states}"
            )

    def generator(self, stream: int = 0) -> torch.Generator:
        """A source of randomness on the CPU, from the seed alone; another one a stream."""
        return torch.Generator().manual_seed(1000 * self.settings.seed + stream)


class GradientProblem(Configured, ABC):
    """Costs of discrete values whose expected gradient is known, at stated params.

    A frozen object of its options, as everything that is registered.

    Example:
        >>> import relaxit
        >>> class Heads(GradientProblem):
        ...     api, name, summary = 1, "heads", "squared number of heads of three coins"
        ...
        ...     def cases(self, around):
        ...         params = torch.tensor([0.0, 1.0, -1.0], dtype=around.dtype)
        ...         point = Point(params.to(around.device), lambda z: z.sum(-1) ** 2)
        ...         return [ProblemCase("", relaxit.get("binary"), (point,))]
        >>> [case.variables for case in Heads().cases(Surroundings())]
        [3]
    """

    kind: ClassVar[str] = "problem"

    @abstractmethod
    def cases(self, around: Surroundings) -> Iterable[ProblemCase]:
        """What is measured: one table a case. May be a generator; trains a model first, say.

        Raises:
            RelaxitError: if relaxation, data or number of states do not fit.
        """
