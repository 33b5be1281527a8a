"""Errors about options say what is missing, unknown or wrong, in Python and for a flag."""

from __future__ import annotations

import pickle

import pytest

from relaxit.errors import OptionsError, Problem


@pytest.mark.parametrize("flag", ["", "-o"])
def test_options_error(flag):
    problems = [Problem("n", "missing", "is missing"), Problem("k", "int_type", "must be 3")]
    error = OptionsError("relaxation", "subset", problems, ["n", "k"])
    option = f"{flag} " if flag else ""
    assert error.said(flag) == f"subset needs n; subset: {option}k must be 3"
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.said("-o")) == (str(error), error.said("-o"))
