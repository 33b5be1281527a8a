"""Options of a relaxation: checked, immutable, and part of its identity."""

from __future__ import annotations

import copy
import math
import pickle

import pytest

from relaxit.errors import ConfigurationError
from tests.toy_relaxations import Cube, Rows


def test_frozen_hashable_comparable_picklable():
    one, same, other = Rows(rows=4), Rows(rows=4), Rows(rows=5)
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one != Cube()
    assert one != type("Twin", (Rows,), {})(rows=4)
    assert len({one, same, other}) == 2
    for again in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one), copy.copy(one)):
        assert again == one
        assert type(again) is Rows
    for name in ("options", "anything"):
        with pytest.raises(AttributeError, match="frozen"):
            setattr(one, name, 1)
    with pytest.raises(ValueError, match="frozen"):
        one.options.rows = 7
    assert repr(one) == "Rows(rows=4, columns=3, scale=1.0)"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"row": 3}, ["row", "rows, columns, scale"]),
        ({"rows": 0}, ["rows", "got 0"]),
        ({"rows": "3"}, ["rows", "got '3'"]),
        ({"rows": True}, ["rows", "got True"]),
        ({"rows": 2.0}, ["rows"]),
        ({"scale": math.nan}, ["scale"]),
        ({"scale": math.inf}, ["scale"]),
        ({"rows": 0, "columns": 1}, ["rows", "columns"]),
    ],
)
def test_bad_options(fields, words):
    for build in (lambda: Rows(**fields), lambda: Rows.from_json(fields)):
        if any(isinstance(x, float) and not math.isfinite(x) for x in fields.values()):
            build = lambda: Rows(**fields)  # noqa: E731 - JSON has no such numbers
        with pytest.raises(ConfigurationError) as caught:
            build()
        text = str(caught.value)
        assert text.startswith("test-rows")
        assert "\n" not in text
        assert all(word in text for word in words), text


def test_from_json():
    assert Rows.from_json({"rows": 4, "scale": 2}) == Rows(rows=4, scale=2.0)
