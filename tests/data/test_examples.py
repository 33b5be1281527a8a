"""Examples: named columns of any type and shape, taken, batched, read and padded."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from relaxit.data import Examples, pad
from relaxit.errors import DataError
from tests.helpers import seed

SHAPES = [(), (3,), (4, 5)]
KEPT = [torch.uint8, torch.bool, torch.int64, torch.float32]
CONVERTED = {
    torch.float64: torch.float32,
    torch.float16: torch.float32,
    torch.bfloat16: torch.float32,
    torch.int32: torch.int64,
    torch.int16: torch.int64,
    torch.int8: torch.int64,
}


def column(dtype, shape, count=7):
    numbers = torch.randint(0, 2, (count, *shape), generator=seed(0))
    numbers += 10 * torch.arange(count).view(-1, *[1] * len(shape))  # rows differ
    return numbers.to(dtype)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [*KEPT, *CONVERTED])
@pytest.mark.parametrize("source", ["tensor", "array", "list"])
def test_columns_are_kept_in_one_of_four_types(dtype, shape, source):
    values = given = column(dtype, shape)
    if source != "tensor":
        given = values.float().numpy() if dtype == torch.bfloat16 else values.numpy()
    if source == "list":
        given = given.tolist()
    made = Examples.of(inputs=given)["inputs"]
    wanted = CONVERTED.get(dtype, dtype)
    if source == "list" and dtype == torch.uint8:
        wanted = torch.int64  # a list of integers does not say how wide they are
    assert (made.dtype, made.shape) == (wanted, values.shape)
    assert torch.equal(made, values.to(wanted))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["i4", "f8", "u2"])
def test_arrays_of_any_byte_order_and_stride(order, kind):
    array = np.arange(12, dtype=order + kind).reshape(4, 3)[::-1, ::2]
    made = Examples.of(inputs=array).inputs
    assert made.tolist() == [[9, 11], [6, 8], [3, 5], [0, 2]]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", KEPT)
def test_take_and_batches_keep_the_rows_of_all_columns_together(dtype, shape, device):
    stored = column(dtype, shape)
    examples = Examples.of(inputs=stored, number=torch.arange(7)).to(device)
    assert (len(examples), examples.device.type) == (7, device.type)
    index = torch.tensor([5, 0, 5], device=device)
    taken = examples.take(index)
    assert torch.equal(taken.inputs, stored.to(device)[index])
    assert taken["number"].tolist() == [5, 0, 5]
    for rows in (1, 3, 7, 100):
        batches = list(examples.batches(rows))
        assert [len(b) for b in batches] == [min(rows, 7 - n) for n in range(0, 7, rows)]
        assert torch.equal(torch.cat([b.inputs for b in batches]).cpu(), stored)
        assert torch.cat([b["number"] for b in batches]).tolist() == list(range(7))


class Doubling:
    """A reader that adds noise to one column, and counts what it is given."""

    def __init__(self):
        self.rows = []

    def __call__(self, columns, generator):
        self.rows.append(len(columns["inputs"]))
        noise = torch.rand(columns["inputs"].shape, generator=generator)
        return {**columns, "inputs": columns["inputs"] + noise}

    def limits(self, name, low, high):
        return (low, high + 1) if name == "inputs" else (low, high)


def test_a_reader_sees_batches_and_draws_from_the_generator_that_is_passed():
    reader = Doubling()
    stored = torch.arange(5.0)
    examples = Examples.of(reader, inputs=stored, targets=[0, 1, 0, 1, 0])
    assert torch.equal(examples.take(torch.tensor([4])).inputs, stored[4:])  # not read yet
    before = torch.get_rng_state()
    first = [b.inputs for b in examples.batches(2, seed(3))]
    again = [b.inputs for b in examples.batches(2, seed(3))]
    assert torch.equal(torch.get_rng_state(), before)
    assert reader.rows == [2, 2, 1] * 2
    assert torch.equal(torch.cat(first), torch.cat(again))
    noise = torch.cat(first) - stored
    assert 0 <= noise.min() < noise.max() < 1
    read = examples.read(seed(4))
    assert read.reader is None  # it is not read twice
    assert torch.equal(read.read(seed(5)).inputs, read.inputs)
    assert torch.equal(read.targets, examples.targets)
    assert torch.equal(examples.inputs, stored)


def test_select_keeps_columns_order_and_reader():
    examples = Examples.of(Doubling(), a=[1], inputs=[2.0], c=[3])
    chosen = examples.select(["c", "a"])
    assert list(chosen.columns) == ["c", "a"]
    assert chosen.reader is examples.reader
    with pytest.raises(DataError, match=r"^there is no column 'b', only a, inputs, c$"):
        examples.select(["b"])
    with pytest.raises(DataError, match="there is no column 'targets'"):
        _ = examples.targets
    assert len(Examples({})) == 0


NOT_NUMBERS = {
    "ragged": ([[1, 2], [3]], "holds examples of different lengths.*relaxit.data.pad"),
    "none": ([None, 1.0], "values that are not numbers"),
    "too large": ([2**70], "values that are not numbers"),
    "text": (["a", "b"], "holds text, such as 'a', expected numbers"),
    "bytes": ([b"a"], "holds text"),
    "dates": (np.array(["2020-01-01"], dtype="datetime64[D]"), r"values of datetime64\[D\]"),
    "complex array": ([1 + 2j], "values of complex128"),
    "complex tensor": (torch.ones(2) * 1j, "complex numbers, expected real ones"),
    "long doubles": (np.arange(2, dtype=np.longdouble), "longdouble"),
    "a number": (3.0, "holds a single number, expected a list or an array"),
}


@pytest.mark.parametrize(("values", "said"), NOT_NUMBERS.values(), ids=NOT_NUMBERS)
def test_what_is_not_a_column_of_numbers_is_one_line(values, said):
    with pytest.raises(DataError, match=f"^column 'mine'.*{said}") as caught:
        Examples.of(mine=values)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("item", SHAPES)
@pytest.mark.parametrize("dtype", KEPT)
@pytest.mark.parametrize("lengths", [(3, 1, 2), (2, 2), (0, 4), (4, 0, 1), (5,)])
def test_padded_sequences_are_the_sequences_and_their_lengths(lengths, dtype, item):
    sequences = [column(dtype, item, count) for count in lengths]
    columns = pad(sequences, 1)
    assert columns["lengths"].tolist() == list(lengths)
    assert columns["inputs"].dtype == dtype
    assert columns["inputs"].shape == (len(lengths), max(lengths), *item)
    for row, sequence in zip(columns["inputs"], sequences, strict=True):
        assert torch.equal(row[: len(sequence)], sequence)
        assert bool((row[len(sequence) :] == 1).all())
    assert len(Examples.of(**columns)) == len(lengths)


@pytest.mark.parametrize(
    "sequences", [[[1], [0.5]], [[0.5], [1]], [[], [1, 0.5]], [[[1, 2]], [], [[0.5, 1]]]]
)
def test_padding_changes_no_number(sequences):
    padded = pad(sequences)["inputs"]
    assert padded.dtype == torch.float32
    assert all(row.tolist()[: len(s)] == s for row, s in zip(padded, sequences, strict=True))
    assert pad([[1, 2], []])["inputs"].dtype == pad([[], [1, 2]])["inputs"].dtype == torch.int64


@pytest.mark.parametrize(
    ("sequences", "said"),
    [
        ([[[1, 2]], [[1, 2, 3]]], r"items of sequences have shapes \[2\], \[3\]$"),
        ([["a"]], "holds text"),
        ([[1], [[1], [2, 3]]], "different lengths"),
        ([1, 2], "a single number"),
        ([], "there are no sequences to pad"),
    ],
)
def test_sequences_that_do_not_fit_are_named(sequences, said):
    with pytest.raises(DataError, match=f"^column 'inputs'.*{said}"):
        pad(sequences)
