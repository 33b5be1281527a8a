"""The lower bound: the least time that a computation can take on this machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["LowerBound", "Needs", "Rates", "lower_bound_of"]


@dataclass(frozen=True)
class Needs:
    """What a computation needs at least, however it is done.

    Attributes:
        bytes: bytes read and written, if each input is read once and each result written once; for
            a backward pass too, with what it reads again.
        random_numbers: uniform numbers drawn.
        flops: operations of matrix multiplications, two for a multiplication and its addition.
        launches: kernels launched on the device; they cost nothing on the CPU.

    Example:
        >>> Needs(bytes=8 * 1000, random_numbers=1000).flops
        0
    """

    bytes: int = 0
    random_numbers: int = 0
    flops: int = 0
    launches: int = 0


@dataclass(frozen=True)
class Rates:
    """What a machine does per second at its best.

    Attributes:
        copies: bytes read and written by a copy, for copies of several sizes: pairs of the bytes
            moved and the rate. A small copy stays in a cache and is many times faster.
        random_numbers: uniform float32 numbers.
        flops: operations of a multiplication of large float32 matrices.
        launches: kernels that do almost nothing, one after the other; None on the CPU.
    """

    copies: tuple[tuple[int, float], ...]
    random_numbers: float
    flops: float
    launches: float | None = None

    def copy(self, moved: int) -> float:
        """Return the bytes per second of a copy that moves so many bytes.

        It is the best rate of all copies measured from the next smaller size on, so that the time
        that follows from it is not too long.

        Example:
            >>> rates = Rates(((2**20, 4e10), (2**24, 2e10), (2**28, 1e10)), 3e8, 1e11)
            >>> rates.copy(1000), rates.copy(2**23), rates.copy(2**25), rates.copy(2**30)
            (40000000000.0, 40000000000.0, 20000000000.0, 10000000000.0)
        """
        sizes = [size for size, _ in self.copies if size <= moved]
        least = max(sizes, default=0)
        return max(rate for size, rate in self.copies if size >= least)


@dataclass(frozen=True)
class LowerBound:
    """The least time of a computation.

    Attributes:
        seconds: the least time.
        parts: seconds of everything that is needed, by name; or of the implementation that is the
            lower bound.
    """

    seconds: float
    parts: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return the attributes as values that JSON has."""
        return asdict(self)


def lower_bound_of(needs: Needs, rates: Rates) -> LowerBound:
    """Return the longest of the times that the needs take, each by itself.

    It is not their sum, because memory, arithmetic and launches may overlap. It cannot be reached
    where they do not, or where there is work that no rate stands for, such as a logarithm.

    Example:
        >>> rates = Rates(((2**20, 1e10),), random_numbers=5e8, flops=1e11)
        >>> lower_bound_of(Needs(bytes=8_000_000, random_numbers=1_000_000), rates)
        LowerBound(seconds=0.002, parts={'memory': 0.0008, 'random numbers': 0.002})
    """
    parts = {
        "memory": needs.bytes / rates.copy(needs.bytes),
        "random numbers": needs.random_numbers / rates.random_numbers,
        "matrix products": needs.flops / rates.flops,
        "launches": needs.launches / rates.launches if rates.launches else 0.0,
    }
    parts = {name: seconds for name, seconds in parts.items() if seconds}
    return LowerBound(max(parts.values(), default=0.0), parts)
