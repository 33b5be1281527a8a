"""Gradient problems: params, a cost of hard values, and the gradient to estimate."""

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
    """Params of some variables, and a cost of their values.

    Attributes:
        params: parameters ``[variables, *param_shape]``.
        cost: function from values ``[..., variables, *event]`` to ``[...]``, in the dtype of
            params, each row independently. It is differentiable, and also defined for soft values,
            between the vertices.
        gradient: gradient of the expected cost of hard values with respect to params, of the same
            shape, if it is known in closed form; None to compute it by enumeration.
    """

    params: Tensor
    cost: Cost
    gradient: Tensor | None = None


@dataclass(frozen=True)
class ProblemCase:
    """Points that are measured together, in one table. Relative measures are over all of them.

    Attributes:
        label: name of the case within its problem; empty if there is only one.
        relaxation: the structure.
        points: the points, at least one.
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
    """The environment in which a problem is set up.

    Attributes:
        device: device of the tensors of the problem.
        settings: settings of the measurements; the seed is also that of params, costs and training.
        relaxation: relaxation to use instead of the problem's default; None for the default.
        dataset: registered name of the data set to use; None for the problem's default.
        data_dir: directory of the data files; None for the default directory.
        progress: callback that receives progress messages.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    settings: GradientSettings = field(default_factory=GradientSettings)
    relaxation: Relaxation | None = None
    dataset: str | None = None
    data_dir: Path | None = None
    progress: Callable[[str], None] = lambda text: None

    @property
    def dtype(self) -> torch.dtype:
        """float64, to keep rounding out of the bias; float32 on a device without float64."""
        return torch.float32 if self.device.type == "mps" else torch.float64

    def require_states(self, relaxation: Relaxation, variables: int) -> None:
        """Reject, before any other work, a problem that cannot be enumerated.

        Raises:
            ConfigurationError: if there are more joint values than ``settings.states``.
            Unsupported: if the relaxation has no discrete distribution or does not list its values.
        """
        number = number_of_states(relaxation, variables)
        if number > self.settings.states:
            raise ConfigurationError(
                f"{relaxation!r} ** {variables} has {number} joint values, more than --states "
                f"{self.settings.states}; raise --states"
            )

    def generator(self, stream: int = 0) -> torch.Generator:
        """Return a generator on the CPU that depends on the seed and the stream only."""
        return torch.Generator().manual_seed(1000 * self.settings.seed + stream)


class GradientProblem(Configured, ABC):
    """Costs of discrete values at given params, with a known gradient of their expectation.

    A problem is a frozen object of its options, like everything that is registered.

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
        """Return the cases to measure, one table per case. May be a generator that trains a model.

        Raises:
            RelaxitError: if the relaxation, the data or the number of states is unsuitable.
        """
