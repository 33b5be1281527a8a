"""Options of a command line, given as text, become values of the model's types."""

from __future__ import annotations

import pytest
from pydantic import Field

from relaxit import Options
from relaxit.errors import ConfigurationError


class Many(Options):
    size: int = Field(default=1, ge=1, description="an integer")
    rate: float = Field(default=0.5, gt=0, description="a number")
    flag: bool = Field(default=False, description="a switch")
    label: str = Field(default="x", description="a text")
    sizes: list[int] = Field(default=[1], description="several integers")
    pair: tuple[float, float] = Field(default=(0.0, 1.0), description="two numbers")
    maybe: int | None = Field(default=None, description="an integer or nothing")


@pytest.mark.parametrize(
    ("texts", "want"),
    [
        ({}, {}),
        ({"size": "3"}, {"size": 3}),
        ({"rate": "3"}, {"rate": 3.0}),
        ({"rate": "1e-3"}, {"rate": 1e-3}),
        ({"flag": "true"}, {"flag": True}),
        ({"flag": "0"}, {"flag": False}),
        ({"label": "3"}, {"label": "3"}),
        ({"label": ""}, {"label": ""}),
        ({"sizes": "[1, 2]"}, {"sizes": [1, 2]}),
        ({"pair": "[0.5, 2]"}, {"pair": (0.5, 2.0)}),
        ({"maybe": "3"}, {"maybe": 3}),
        ({"size": "3", "flag": "yes"}, {"size": 3, "flag": True}),
    ],
)
def test_parse(texts, want):
    got = Many.parse(texts)
    assert got == want
    assert {k: type(v) for k, v in got.items()} == {k: type(v) for k, v in want.items()}
    Many(**got)


def test_parse_passes_unknown_keys_to_the_model():
    assert Many.parse({"sise": "3", "size": "2"}) == {"sise": "3", "size": 2}


@pytest.mark.parametrize(
    "texts",
    [
        {"size": "three"},
        {"size": "0"},
        {"size": "1.5"},
        {"size": ""},
        {"rate": "-1"},
        {"rate": "fast"},
        {"flag": "perhaps"},
        {"sizes": "[1, "},
        {"sizes": "[1, x]"},
        {"sizes": '["a"]'},
        {"sizes": '{"a": 1}'},
    ],
)
def test_parse_rejects(texts):
    (key,) = texts
    with pytest.raises(ConfigurationError, match=rf"^{key}(\[0\])? must be ") as caught:
        Many.parse(texts)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
def test_numbers_that_are_not_finite_never_reach_the_object(text):
    with pytest.raises(ValueError, match="rate"):
        Many(**Many.parse({"rate": text}))
