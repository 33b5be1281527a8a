"""Examples: named columns of equal length, a part of a data set or a batch of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from relaxit.aliases import Generator
from relaxit.errors import DataError, one_line

__all__ = ["DTYPES", "Examples", "Reader", "pad"]

DTYPES = (torch.uint8, torch.bool, torch.int64, torch.float32)
"""Types of the columns that are kept in memory."""


class Reader(Protocol):
    """How stored columns become those that a task sees, such as grey levels to numbers in [0, 1].

    It is called for each batch, also in compiled steps and under ``torch.func.vmap``.
    """

    def __call__(self, columns: Mapping[str, Tensor], generator: Generator) -> dict[str, Tensor]:
        """Return all columns of a batch, new tensors where they change."""

    def limits(self, name: str, low: float, high: float) -> tuple[float, float]:
        """Return the smallest and the largest value of a column after reading.

        Args:
            name: name of the column.
            low, high: smallest and largest stored value.
        """


# eq=False: made in compiled steps, where torch before 2.13 cannot handle its __eq__.
@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Named columns, one row per example: a part of a data set, or a batch.

    The usual names are ``inputs`` and ``targets``. Sequences of different lengths are padded, see
    :func:`pad`, and have a column ``lengths`` ``[N]`` int64 or ``mask`` ``[N, T]`` bool.

    Attributes:
        columns: tensors ``[N, *shape]`` by name, of type uint8, bool, int64 or float32.
        reader: how they are read; None if a task sees them as they are stored.

    Example:
        >>> examples = Examples.of(inputs=[[0.5, 1.0], [2.0, 3.0]], targets=[1, 0])
        >>> examples.inputs.dtype, examples.targets.dtype, len(examples)
        (torch.float32, torch.int64, 2)
        >>> examples.take(torch.tensor([1]))["targets"]
        tensor([0])
        >>> [len(batch) for batch in examples.batches(1)]
        [1, 1]
    """

    columns: Mapping[str, Tensor]
    reader: Reader | None = None

    @classmethod
    def of(cls, reader: Reader | None = None, **columns: Any) -> Self:
        """Make examples of tensors, arrays or nested lists.

        Integers become int64 and floats float32; uint8 and bool stay as they are.

        Raises:
            DataError: naming the column, if its values are not numbers or have different lengths.
        """
        return cls({name: _tensor(name, values) for name, values in columns.items()}, reader)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def __getitem__(self, name: str) -> Tensor:
        """Return a column.

        Raises:
            DataError: naming the columns that there are.
        """
        if name not in self.columns:
            raise DataError(f"there is no column {name!r}, only {', '.join(self.columns)}")
        return self.columns[name]

    @property
    def inputs(self) -> Tensor:
        return self["inputs"]

    @property
    def targets(self) -> Tensor:
        return self["targets"]

    @property
    def device(self) -> torch.device:
        return next(iter(self.columns.values())).device

    def select(self, names: Sequence[str]) -> Self:
        """Return the same examples with these columns only."""
        return type(self)({name: self[name] for name in names}, self.reader)

    def take(self, index: Tensor) -> Self:
        """Return the stored examples at ``index`` ``[B]`` int64, which is on their device."""
        taken = {name: column.index_select(0, index) for name, column in self.columns.items()}
        return type(self)(taken, self.reader)

    def read(self, generator: Generator = None) -> Self:
        """Return the columns as a task sees them.

        Args:
            generator: source of the noise of a reader that draws, such as dynamic binarisation.
        """
        if self.reader is None:
            return self
        return type(self)(self.reader(self.columns, generator))

    def batches(self, rows: int, generator: Generator = None) -> Iterator[Self]:
        """Iterate over all examples in order, in batches of at most ``rows``, read by :meth:`read`.

        Args:
            rows: largest number of examples in a batch.
            generator: source of the noise of the reader.
        """
        for start in range(0, len(self), rows):
            part = {name: column[start : start + rows] for name, column in self.columns.items()}
            yield type(self)(part, self.reader).read(generator)

    def to(self, device: torch.device) -> Self:
        """Return the same examples on a device."""
        moved = {name: column.to(device) for name, column in self.columns.items()}
        return type(self)(moved, self.reader)


def pad(sequences: Sequence[Any], value: float = 0) -> dict[str, Tensor]:
    """Return sequences of different lengths as columns ``inputs`` and ``lengths``.

    Args:
        sequences: N tensors, arrays or lists ``[T_i, *shape]``.
        value: value of the padding.

    Returns:
        ``inputs`` ``[N, T, *shape]``, where T is the greatest length, and ``lengths`` ``[N]``.

    Raises:
        DataError: if there are no sequences, one is not made of numbers, or their shapes differ
            beyond the length.

    Example:
        >>> pad([[1, 2, 3], [4]])
        {'inputs': tensor([[1, 2, 3],
                [4, 0, 0]]), 'lengths': tensor([3, 1])}
    """
    rows = [_tensor("inputs", sequence) for sequence in sequences]
    if not rows:
        raise DataError("column 'inputs': there are no sequences to pad")
    filled = [row for row in rows if len(row)] or rows  # an empty list has no type of its own
    item = filled[0].shape[1:]
    if any(row.shape[1:] != item for row in filled):
        shapes = sorted({str(list(row.shape[1:])) for row in filled})
        raise DataError(f"column 'inputs': items of sequences have shapes {', '.join(shapes)}")
    dtype = reduce(torch.promote_types, [row.dtype for row in filled])
    alike = [row.to(dtype).reshape(len(row), *item) for row in rows]
    padded = torch.nn.utils.rnn.pad_sequence(alike, batch_first=True, padding_value=value)
    return {"inputs": padded, "lengths": torch.tensor([len(row) for row in rows])}


def _tensor(name: str, values: Any) -> Tensor:
    """Return values as a tensor of one of :data:`DTYPES`."""
    if isinstance(values, Tensor):
        tensor = values
    else:
        try:
            array = np.asarray(values)
        except ValueError as error:  # numpy rejects nested lists of different lengths
            raise DataError(_ragged(name)) from error
        if array.dtype == object:
            raise DataError(_ragged(name))
        if array.dtype.kind not in "biuf":
            raise DataError(f"column {name!r} holds {_kind(array)}, expected numbers")
        try:
            native = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
            tensor = torch.from_numpy(native.reshape(array.shape))
        except TypeError as error:
            raise DataError(f"column {name!r}: {one_line(error)}") from error
    if not tensor.dim():
        raise DataError(f"column {name!r} holds a single number, expected a list or an array")
    if tensor.dtype in DTYPES:
        return tensor
    if tensor.is_complex():
        raise DataError(f"column {name!r} holds complex numbers, expected real ones")
    return tensor.float() if tensor.is_floating_point() else tensor.long()


def _ragged(name: str) -> str:
    return (
        f"column {name!r} holds examples of different lengths, or values that are not numbers; "
        "relaxit.data.pad(sequences) returns columns inputs and lengths"
    )


def _kind(array: np.ndarray[Any, Any]) -> str:
    text = array.dtype.kind in "US"
    return f"text, such as {str(array.reshape(-1)[0])!r}" if text else f"values of {array.dtype}"
