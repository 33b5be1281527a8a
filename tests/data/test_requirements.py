"""What a task requires of a column is checked by type, shape and range, and said in words."""

from __future__ import annotations

import pytest
import torch

from relaxit.data import Examples, Requirement, Splits, check_columns
from relaxit.errors import ConfigurationError, DataError
from tests.data.test_examples import KEPT, SHAPES, column

KINDS = {
    "float": {torch.float32},
    "integer": {torch.uint8, torch.int64},
    "number": {torch.float32, torch.uint8, torch.int64},
    "bool": {torch.bool},
}
ALLOWED = {None: SHAPES, (): [()], (3,): [(3,)], (None,): [(3,)], (4, None): [(4, 5)]}


def check(requirement, columns, test=None, name="inputs"):
    parts = Examples.of(**columns), Examples({} if test is None else Examples.of(**test).columns)
    check_columns("mine", {name: requirement}, Splits(*parts), "theirs")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wanted", ALLOWED)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", KEPT)
@pytest.mark.parametrize("remedy", ["", "do this"])
def test_type_and_shape(kind, wanted, dtype, shape, remedy):
    requirement = Requirement(kind, shape=wanted, remedy=remedy)
    given = {"inputs": column(dtype, shape)}
    if dtype in KINDS[kind] and shape in ALLOWED[wanted]:
        check(requirement, given)
        return
    with pytest.raises(ConfigurationError) as caught:
        check(requirement, given)
    found = f"{str(dtype).removeprefix('torch.')} of shape {list(shape)} per example"
    assert str(caught.value) == (
        f"task 'mine' needs inputs that are {requirement.words}, but those of data set 'theirs' "
        f"are {found}; {remedy or 'choose another --dataset'}"
    )
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("low", "high", "values", "fits"),
    [
        (0, 1, [0.0, 1.0], True),
        (0, 1, [0.0, 1.5], False),
        (0, 1, [-0.5, 1.0], False),
        (0, float("inf"), [0.0, 1e30], True),
        (0, float("inf"), [-1e-3, 1.0], False),
        (-float("inf"), float("inf"), [-1e30, 1e30], True),
    ],
)
@pytest.mark.parametrize("part", ["train", "test"])
def test_range(low, high, values, fits, part):
    requirement, good = Requirement("float", low, high), [0.5, 0.5]
    columns = {"inputs": values if part == "train" else good}
    test = {"inputs": values if part == "test" else good}
    if fits:
        check(requirement, columns, test)
        return
    with pytest.raises(DataError) as caught:
        check(requirement, columns, test)
    assert f"the {part} part of data set 'theirs' range from {min(values):g} to" in str(
        caught.value
    )
    assert requirement.words in str(caught.value)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("kind", ["float", "number"])
def test_values_that_are_not_finite(kind, bad):
    for requirement in (Requirement(kind), Requirement(kind, 0, 1)):
        with pytest.raises(DataError, match=r"^data set 'theirs': inputs of the test part .*NaN"):
            check(requirement, {"inputs": [0.5]}, {"inputs": [bad]})


def test_a_column_that_is_missing():
    numbers = {"a": [1.0], "b": [2]}
    check(Requirement("integer", optional=True), numbers, name="c")
    with pytest.raises(ConfigurationError) as caught:
        check(Requirement("integer", 0, shape=()), numbers, name="c")
    assert str(caught.value) == (
        "task 'mine' needs a column 'c' (one integer per example, at least 0), which data set "
        "'theirs' does not have; it has a, b; choose another --dataset"
    )
    with pytest.raises(ConfigurationError, match=r"relaxit\.data\.pad\(sequences\) returns"):
        check(Requirement("integer"), numbers, name="lengths")
    with pytest.raises(ConfigurationError, match="needs b that are floats"):  # optional, but there
        check(Requirement("float", optional=True), numbers, name="b")


@pytest.mark.parametrize(
    ("requirement", "words"),
    [
        (Requirement(), "numbers"),
        (Requirement("bool"), "true or false"),
        (Requirement("float", 0, 1), "floats from 0 to 1"),
        (Requirement("integer", 0), "integers at least 0"),
        (Requirement("float", shape=(None, 3)), "floats of shape [any, 3] per example"),
        (Requirement("integer", 0, shape=()), "one integer per example, at least 0"),
        (Requirement("number", shape=()), "one number per example"),
        (Requirement("integer", 0, 9, shape=()), "one integer per example, from 0 to 9"),
        (Requirement("float", high=5), "floats at most 5"),
        (Requirement("bool", shape=()), "one bool per example"),
    ],
)
def test_words(requirement, words):
    assert requirement.words == words
