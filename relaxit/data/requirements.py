"""What a task requires of the columns of a data set, and the check of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from relaxit.data.examples import Examples
from relaxit.data.splits import PARTS, ColumnFormat, PartName, Splits
from relaxit.errors import ConfigurationError, DataError

__all__ = ["Requirement", "check_columns"]

Kind = Literal["float", "integer", "number", "bool"]
_KINDS: dict[str, tuple[str, ...]] = {
    "float": ("float32",),
    "integer": ("uint8", "int64"),
    "number": ("float32", "uint8", "int64"),
    "bool": ("bool",),
}
_WORDS = {"float": "floats", "integer": "integers", "number": "numbers", "bool": "true or false"}
_INFINITE = float("inf")


@dataclass(frozen=True)
class Requirement:
    """What a task requires of one column. All values must be finite.

    Attributes:
        kind: ``float``, ``integer`` (uint8 or int64), ``number`` (any of both) or ``bool``.
        low, high: smallest and largest value that is allowed.
        shape: shape per example, None for a size that is free; None if any shape will do.
        optional: whether the column may be absent.
        remedy: what to do if the column does not fit, such as ``set -t likelihood=gaussian``.

    Example:
        >>> Requirement("float", 0, 1).words
        'floats from 0 to 1'
        >>> Requirement("integer", 0, shape=()).words
        'one integer per example, at least 0'
    """

    kind: Kind = "number"
    low: float = -_INFINITE
    high: float = _INFINITE
    shape: tuple[int | None, ...] | None = None
    optional: bool = False
    remedy: str = ""

    @property
    def words(self) -> str:
        """What is required, in words."""
        words = _WORDS[self.kind]
        if self.shape is not None:
            sizes = [*("any" if size is None else str(size) for size in self.shape)]
            words += f" of shape [{', '.join(sizes)}] per example" if sizes else ""
            words = words if sizes else f"one {self.kind} per example,"
        low, high = self.low > -_INFINITE, self.high < _INFINITE
        if low and high:
            words += f" from {self.low:g} to {self.high:g}"
        elif low:
            words += f" at least {self.low:g}"
        elif high:
            words += f" at most {self.high:g}"
        return words.rstrip(",")

    def fits(self, found: ColumnFormat) -> bool:
        """Whether type and shape of a column are as required."""
        if found.dtype not in _KINDS[self.kind]:
            return False
        if self.shape is None:
            return True
        pairs = zip(self.shape, found.shape, strict=False)
        return len(found.shape) == len(self.shape) and all(a in (None, b) for a, b in pairs)


def check_columns(
    task: str, required: Mapping[str, Requirement], splits: Splits, dataset: str
) -> None:
    """Check that a data set has the columns that a task requires.

    Args:
        task: name of the task.
        required: what the task requires of each column.
        splits: the examples.
        dataset: name of the data set.

    Raises:
        ConfigurationError: if a column is missing, or has another type or shape.
        DataError: if a value is not finite or out of range.
    """
    for name, requirement in required.items():
        found = splits.format.columns.get(name)
        if found is None:
            if requirement.optional:
                continue
            raise ConfigurationError(
                f"task {task!r} needs a column {name!r} ({requirement.words}), which data set "
                f"{dataset!r} does not have; it has {', '.join(splits.format.columns)}"
                f"{_remedy(name)}"
            )
        if not requirement.fits(found):
            raise ConfigurationError(
                f"task {task!r} needs {name} that are {requirement.words}, but those of data set "
                f"{dataset!r} are {found.dtype} of shape {list(found.shape)} per example"
                f"{_or(requirement)}"
            )
        if not found.entries:
            raise DataError(f"data set {dataset!r}: {name} of shape {list(found.shape)} are empty")
        for part, low, high in _limits(splits, name):
            if math.isnan(low + high) or math.isinf(low) or math.isinf(high):
                raise DataError(
                    f"data set {dataset!r}: {name} of the {part} part have values that are not "
                    f"finite (NaN or infinity){_first_row(splits.part(part), name)}"
                )
            if low < requirement.low or high > requirement.high:
                raise DataError(
                    f"task {task!r} needs {name} that are {requirement.words}, but those of the "
                    f"{part} part of data set {dataset!r} range from {low:g} to {high:g}"
                    f"{_or(requirement)}"
                )


def _limits(splits: Splits, name: str) -> Iterator[tuple[PartName, float, float]]:
    for part in PARTS:
        if len(splits.part(part)):
            yield part, *splits.limits(name, part)


def _first_row(part: Examples, name: str) -> str:
    """Return which is the first example whose stored values are not finite."""
    finite = (
        part[name].flatten(1).isfinite().all(1) if part[name].dim() > 1 else part[name].isfinite()
    )
    rows = (~finite).nonzero().flatten()
    return f", first in example {int(rows[0])}" if len(rows) else ""


def _or(requirement: Requirement) -> str:
    return f"; {requirement.remedy or 'choose another --dataset'}"


def _remedy(name: str) -> str:
    if name == "lengths":
        return "; relaxit.data.pad(sequences) returns columns inputs and lengths"
    return "; choose another --dataset"
