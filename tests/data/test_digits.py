"""The bundled digits are read from scikit-learn's file, or by importing it."""

from __future__ import annotations

from pathlib import Path

import torch
from sklearn.datasets import load_digits

from relaxit.data import digits
from tests.imports import imported


def test_the_digits_are_those_of_scikit_learn():
    code = "from pathlib import Path\nfrom relaxit.data import Digits\nDigits().load(Path())"
    assert "sklearn" not in imported(code, "sklearn")
    found, theirs = digits.Digits().load(Path()), load_digits()
    is_test = torch.arange(1797) % 5 == 0
    for mine, rows in ((found.train, ~is_test), (found.test, is_test)):
        assert mine.dtype == torch.uint8
        assert torch.equal(mine.double(), torch.from_numpy(theirs.data)[rows])
    for mine, rows in ((found.train_labels, ~is_test), (found.test_labels, is_test)):
        assert mine.dtype == torch.int64
        assert torch.equal(mine, torch.from_numpy(theirs.target)[rows])


def test_digits_are_found_where_the_file_is_not(monkeypatch):
    usual = digits.Digits().load(Path())
    monkeypatch.setattr(digits, "find_spec", lambda _: None)
    imported_ones = digits.Digits().load(Path())
    for part in ("train", "test", "train_labels", "test_labels"):
        assert getattr(imported_ones, part).dtype == getattr(usual, part).dtype
        assert torch.equal(getattr(imported_ones, part), getattr(usual, part))
