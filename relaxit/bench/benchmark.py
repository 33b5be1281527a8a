"""What a benchmark is: one piece of work, several implementations, and the right answer."""

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
    """Raised by an implementation's ``make``: it cannot be run here, and that is nobody's fault.

    It is then skipped with the message as the reason. A ``ModuleNotFoundError`` in ``make`` has the
    same effect, so a baseline is simply imported there.
    """


@dataclass(frozen=True)
class Implementation:
    """One way of doing the work.

    Attributes:
        name: what the table calls it; unique in its benchmark.
        make: prepares what is not to be measured (imports, ``torch.compile``, copies of the input),
            and returns a function without arguments that does the work once. That function returns
            a tensor or a tuple of tensors, which are compared with the oracle's. It must do all the
            work at each call, and reads the same inputs as the other implementations.
        note: a few words about it: where it comes from, what it does otherwise.
        compiled: it goes through ``torch.compile``. Left out by ``--no-compile``, and skipped where
            nothing can be compiled. Ask for ``fullgraph=True``, so that a graph break is a failure
            and not a slow success.
        reference: the others' times are divided by its own. At most one of a benchmark; the first
            implementation if none says so.
        baseline: whose way it is, in a word that ``--against`` takes: ``torch``, ``pyro``. Empty
            for the plugin's own ways, which always take part.
        lower_bound: it does only what nobody can do without, such as the matrix products of a
            training step: the others' times are shown in units of its own. At most one of a
            benchmark.

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
    """One piece of work that several implementations do, in one interleaved run.

    A frozen object of its options, as everything that is registered. The options are the sizes, and
    their defaults the published setting.

    Attributes:
        structure: registered name of the relaxation it belongs to.
        error_is: what the column of errors means, where that is not the plain difference between a
            result and the oracle's: what is compared, and how much of it is chance.
        group: the command that runs it when no benchmark is named: ``structures`` for
            ``relaxit bench structures``, or ``sampling``.
        presets: options of the runs that it consists of, one table a run, in this order; one run
            with the defaults if not stated. Options of the command line are laid over each.

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
        """The ways of doing the work on ``device``. Makes the inputs, and does no work yet."""

    def inputs(self, device: torch.device) -> tuple[Tensor, ...]:
        """The tensors that the work is done on, the same values at each call and on any device.

        Their size is the unit in which peak memory is reported besides bytes; empty for no unit.
        Draw them on the CPU from a generator of their own, then move them.
        """
        del device
        return ()

    def needs(self, device: torch.device) -> Needs | None:
        """What the work needs at least, from which its least time follows; None if not known."""
        del device
        return None

    def oracle(self, device: torch.device) -> Tensor | tuple[Tensor, ...] | None:
        """The right answer, worked out slowly in float64; None if there is no single one.

        Tensors of the shapes that an implementation's result has, after :meth:`compared`.
        """
        del device
        return None

    def compared(self, result: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
        """What of an implementation's result is compared with the oracle: all of it by default.

        A benchmark of random draws may take their mean here, with the exact mean for an oracle.
        The generators are seeded before the draw that is compared.
        """
        return result
