"""All examples of a data set, in training, validation and test parts, and their format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Literal

import torch

from relaxit.data.examples import DTYPES, Examples
from relaxit.errors import ConfigurationError, DataError

__all__ = ["PARTS", "ColumnFormat", "Format", "PartName", "Splits"]

PartName = Literal["train", "validation", "test"]
PARTS: tuple[PartName, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class ColumnFormat:
    """What all examples have in common in one column, as a task sees it.

    Attributes:
        dtype: type of the values, such as ``float32``.
        shape: shape per example.
        classes: number of classes of integers, the largest one plus 1; 0 for other types.
    """

    dtype: str
    shape: tuple[int, ...]
    classes: int = 0

    @property
    def entries(self) -> int:
        """Number of values per example."""
        return prod(self.shape)


@dataclass(frozen=True)
class Format:
    """The formats of the columns of a data set, from which a model is built.

    Example:
        >>> image = ColumnFormat("float32", (8, 8))
        >>> Format({"inputs": image}).inputs.entries
        64
    """

    columns: Mapping[str, ColumnFormat]

    def __getitem__(self, name: str) -> ColumnFormat:
        return self.columns[name]

    @property
    def inputs(self) -> ColumnFormat:
        return self.columns["inputs"]

    @property
    def targets(self) -> ColumnFormat:
        return self.columns["targets"]


def _empty() -> Examples:
    return Examples({})


@dataclass(frozen=True)
class Splits:
    """All examples of a data set. Each part that is not empty has the same columns.

    Attributes:
        train: training examples.
        test: test examples, only for reported results, not for choices; may be empty.
        validation: examples held out of the training part; may be empty.
        classes: number of classes by column, where it is not the largest value plus 1.

    Raises:
        DataError: if columns of a part differ in length, or parts differ in columns, types or
            shapes; naming part, column and what was found.

    Example:
        >>> train = Examples.of(inputs=torch.rand(5, 3), targets=[0, 2, 1, 0, 2])
        >>> splits = Splits(train, test=train.take(torch.tensor([0])))
        >>> splits.format.inputs, splits.format.targets.classes
        (ColumnFormat(dtype='float32', shape=(3,), classes=0), 3)
        >>> len(splits.hold_out(2).validation)
        2
    """

    train: Examples
    test: Examples = field(default_factory=_empty)
    validation: Examples = field(default_factory=_empty)
    classes: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not len(self.train):
            raise DataError("the training part has no examples")
        for name, part in self._filled():
            self._check_part(name, part)

    def part(self, name: PartName) -> Examples:
        """Return a part by its name."""
        parts: dict[PartName, Examples] = {
            "train": self.train,
            "validation": self.validation,
            "test": self.test,
        }
        return parts[name]

    @cached_property
    def format(self) -> Format:
        """The format of the columns. Reads all integers once."""
        first = self.train.take(torch.zeros(1, dtype=torch.long, device=self.train.device))
        read = first.read(torch.Generator(first.device).manual_seed(0))  # not the global generator
        formats = {}
        for name, column in read.columns.items():
            dtype = str(column.dtype).removeprefix("torch.")
            classes = self._classes(name, column.dtype)
            formats[name] = ColumnFormat(dtype, tuple(column.shape[1:]), classes)
        return Format(formats)

    def select(self, names: Sequence[str]) -> Splits:
        """Return the same examples with these columns only."""
        train, test, validation = (
            part.select(names) if len(part) else part
            for part in (self.train, self.test, self.validation)
        )
        return Splits(train, test, validation, self.classes)

    def limits(self, column: str, part: PartName) -> tuple[float, float]:
        """Return the smallest and the largest value of a column, as a task sees it.

        Both are NaN if one of the values is.
        """
        examples = self.part(part)
        values = examples[column]
        if not values.numel():
            return 0.0, 0.0
        if values.dtype == torch.bool:
            values = values.to(torch.uint8)
        low, high = float(values.amin()), float(values.amax())
        return examples.reader.limits(column, low, high) if examples.reader else (low, high)

    def hold_out(self, count: int) -> Splits:
        """Move ``count`` training examples, always the same ones, to the validation part.

        Raises:
            ConfigurationError: if no training examples would be left.
        """
        total = len(self.train)
        if count >= total:
            raise ConfigurationError(
                f"data.validation (--validation): holding out {count} of {total} training "
                "examples leaves none to train on"
            )
        # Also for a count of 0: runs of all versions see the examples in the same order.
        order = torch.randperm(total, generator=torch.Generator().manual_seed(0))
        order = order.to(self.train.device)
        held_out, remaining = self.train.take(order[:count]), self.train.take(order[count:])
        return replace(self, train=remaining, validation=held_out)

    def to(self, device: torch.device) -> Splits:
        """Return the same examples on a device, where they stay for the whole run."""
        return Splits(
            self.train.to(device), self.test.to(device), self.validation.to(device), self.classes
        )

    def _filled(self) -> Iterator[tuple[PartName, Examples]]:
        for name in PARTS:
            if len(part := self.part(name)):
                yield name, part

    def _check_part(self, part: PartName, examples: Examples) -> None:
        if examples.columns.keys() != self.train.columns.keys():
            raise DataError(
                f"the {part} part has columns {', '.join(examples.columns)}, the training part "
                f"{', '.join(self.train.columns)}"
            )
        for name, column in examples.columns.items():
            first = self.train.columns[name]
            if len(column) != len(examples):
                raise DataError(
                    f"column {name!r} of the {part} part has {len(column)} rows, the first column "
                    f"{len(examples)}"
                )
            if column.dtype not in DTYPES:
                raise DataError(
                    f"column {name!r} of the {part} part is of {column.dtype}, expected uint8, "
                    "bool, int64 or float32"
                )
            if (column.dtype, column.shape[1:]) != (first.dtype, first.shape[1:]):
                raise DataError(
                    f"column {name!r} of the {part} part holds {column.dtype} of shape "
                    f"{list(column.shape[1:])} per example, that of the training part "
                    f"{first.dtype} of shape {list(first.shape[1:])}"
                )

    def _classes(self, name: str, dtype: torch.dtype) -> int:
        """Return the number of classes of a column that is read as integers; 0 for other types."""
        if dtype not in (torch.uint8, torch.int64):
            return 0
        found = max(1 + int(self.limits(name, part)[1]) for part, _ in self._filled())
        stated = self.classes.get(name, max(0, found))
        if found > stated:
            raise DataError(
                f"column {name!r} has the class {found - 1}, but only {stated} classes are stated, "
                f"from 0 to {stated - 1}"
            )
        return stated
