"""Benchmarks: one computation, several implementations, and the right answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from relaxit.bench.lower_bound import Needs
from relaxit.errors import RelaxitError
from relaxit.options import Configured

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["OWN", "Benchmark", "Implementation", "Unavailable"]

OWN = "relaxit"
"""Stands for the implementations that belong to no baseline, wherever baselines are named."""


class Unavailable(RelaxitError):
    """Raised by an implementation's ``make`` if it cannot be run here, which is not an error.

    The implementation is then skipped, with the message as the reason. A ``ModuleNotFoundError`` in
    ``make`` has the same effect, so a baseline is simply imported there.
    """


@dataclass(frozen=True)
class Implementation:
    """One implementation of the computation.

    Attributes:
        name: name in the table; unique in its benchmark.
        make: prepares what is not measured (imports, ``torch.compile``, copies of the input), and
            returns a function without arguments that does the work once. That function returns a
            tensor or a tuple of tensors, which are compared with the oracle's. It must do all the
            work in each call, on the same inputs as the other implementations.
        note: a few words about it: its origin, or what it does differently.
        compiled: whether it goes through ``torch.compile``. Left out by ``--no-compile``, and
            skipped where nothing can be compiled. Use ``fullgraph=True``, so that a graph break is
            a failure and not a slow success.
        reference: whether the others' times are divided by its own. At most one per benchmark; the
            first implementation if none is marked.
        baseline: baseline it belongs to, in a word that ``--against`` takes: ``torch``, ``pyro``.
            Empty for the plugin's own implementations, which always take part.
        lower_bound: whether it does only what no implementation can do without, such as the matrix
            multiplications of a training step: the others' times are shown in units of its own. At
            most one per benchmark.

    Example:
        >>> import torch
        >>> Implementation("torch", lambda: lambda: torch.ones(3).softmax(-1), note="eager").name
        'torch'
    """

    name: str
    make: Callable[[], Callable[[], Tensor | tuple[Tensor, ...]]]
    note: str = ""
    compiled: bool = False
    reference: bool = False
    baseline: str = ""
    lower_bound: bool = False


class Benchmark(Configured, ABC):
    """One computation that several implementations do, in one interleaved run.

    A frozen object of its options, like everything that is registered. The options are the sizes,
    and their defaults the published setting.

    Attributes:
        structure: registered name of the relaxation it belongs to.
        error_is: meaning of the error column, where it is not simply the difference between a
            result and the oracle's: what is compared, and how much of it is chance.
        group: the command that runs it when no benchmark is named: ``structures`` for
            ``relaxit bench structures``, ``sampling``, or ``gradients`` for a benchmark whose
            implementations are estimators.
        presets: options of its runs, one table per run, in this order; one run with the defaults if
            not stated. Options of the command line override them.

    Example:
        >>> import torch
        >>> class Total(Benchmark):
        ...     api, name, summary = 1, "total", "sum of a thousand numbers"
        ...
        ...     def inputs(self, device):
        ...         generator = torch.Generator().manual_seed(0)
        ...         return (torch.randn(1000, generator=generator).to(device),)
        ...
        ...     def implementations(self, device):
        ...         (x,) = self.inputs(device)
        ...         return [
        ...             Implementation("sum", lambda: x.sum, reference=True),
        ...             Implementation("cumsum", lambda: lambda: x.cumsum(0)[-1], note="wasteful"),
        ...         ]
        ...
        ...     def oracle(self, device):
        ...         return self.inputs(device)[0].double().sum()
        >>> [implementation.name for implementation in Total().implementations(torch.device("cpu"))]
        ['sum', 'cumsum']
    """

    kind = "benchmark"
    structure: ClassVar[str] = ""
    error_is: ClassVar[str] = ""
    group: ClassVar[str] = "structures"
    presets: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)

    @abstractmethod
    def implementations(self, device: torch.device) -> Sequence[Implementation]:
        """Return the implementations on ``device``. Makes the inputs, and does no work yet."""

    def inputs(self, device: torch.device) -> tuple[Tensor, ...]:
        """Return the input tensors, with the same values at each call and on any device.

        Peak memory is reported in units of their size as well as in bytes; empty for no unit.
        Draw them on the CPU from a generator of their own, then move them.
        """
        del device
        return ()

    def needs(self, device: torch.device) -> Needs | None:
        """Return what the work needs at least, which gives its lower bound; None if not known."""
        del device
        return None

    def oracle(self, device: torch.device) -> Tensor | tuple[Tensor, ...] | None:
        """Return the right answer, computed slowly in float64; None if there is no single one.

        Its tensors have the shapes of an implementation's result after :meth:`compared`.
        """
        del device
        return None

    def compared(self, result: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
        """Return the part of a result that is compared with the oracle: all of it by default.

        A benchmark of random draws may return their mean, with the exact mean as the oracle.
        The generators are seeded before the draw that is compared.
        """
        return result
