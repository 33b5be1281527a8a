"""The bundled digits are read from scikit-learn's file, or by importing it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits

from relaxit.data import digits
from tests.helpers import seed
from tests.imports import imported


def test_the_digits_are_those_of_scikit_learn():
    code = "from pathlib import Path\nfrom relaxit.data import Digits\nDigits().load(Path())"
    assert "sklearn" not in imported(code, "sklearn")
    found, theirs = digits.Digits().load(Path()), load_digits()
    is_test = torch.arange(1797) % 5 == 0
    for mine, rows in ((found.train, ~is_test), (found.test, is_test)):
        assert (mine.inputs.dtype, mine.targets.dtype) == (torch.uint8, torch.int64)
        assert torch.equal(mine.inputs.double(), torch.from_numpy(theirs.images)[rows])
        assert torch.equal(mine.targets, torch.from_numpy(theirs.target)[rows])


def test_digits_are_found_where_the_file_is_not(monkeypatch):
    usual = digits.Digits().load(Path())
    monkeypatch.setattr(digits, "find_spec", lambda _: None)
    imported_ones = digits.Digits().load(Path())
    for part in ("train", "test"):
        for column in ("inputs", "targets"):
            found, wanted = (each.part(part)[column] for each in (imported_ones, usual))
            assert found.dtype == wanted.dtype
            assert torch.equal(found, wanted)


def test_parts_are_disjoint_and_use_all_levels():
    found = digits.Digits().load(Path())
    assert len(found.train) + len(found.test) == 1797
    assert int(found.train.inputs.max()) == found.train.reader.levels == 16


@pytest.mark.parametrize("binarise", ["none", "threshold", "dynamic"])
def test_the_option_is_that_of_the_reader(binarise):
    found = digits.Digits(binarise=binarise).load(Path())
    assert found.train.reader.binarise == found.test.reader.binarise == binarise
    few = found.train.take(torch.arange(50)).read(seed(0)).inputs
    assert (len(few.unique()) == 2) == (binarise != "none")


def test_every_bundled_digit_has_its_label():
    """By the nearest neighbour, which is right for almost all digits."""
    found = digits.Digits().load(Path())
    near, known = (part.inputs.flatten(1).float() for part in (found.test, found.train))
    guessed = found.train.targets[torch.cdist(near, known).argmin(1)]
    assert (guessed == found.test.targets).float().mean() > 0.95
