"""Every option of every registered class: what is wrong is said with its name and its flag."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import Field

from relaxit import Options, estimator, get
from relaxit.errors import ConfigurationError, OptionsError
from relaxit.options import Configured
from relaxit.plugins import default_registry
from tests.test_validation import FOREIGN

KINDS = ("relaxation", "estimator", "dataset", "task", "benchmark", "problem")
CLASSES = [cls for kind in KINDS for cls in default_registry().items(kind).values()]
OPTIONS = [(cls, key) for cls in CLASSES for key in cls.Options.model_fields]
NAMES = {("table", "inputs"), ("table", "targets")}
"""Options that are lists of names, which may be written as one text."""
FIELDS = pytest.mark.parametrize(
    ("cls", "key"), OPTIONS, ids=[f"{cls.kind}-{cls.name}-{key}" for cls, key in OPTIONS]
)


def said(build) -> str:
    with pytest.raises(OptionsError) as caught:
        build()
    text, flagged = str(caught.value), caught.value.said("-z")
    for each in (text, flagged):
        assert "\n" not in each
        assert not any(word in each for word in FOREIGN), each
    return flagged


def required(cls: type[Configured], but: str) -> dict[str, Any]:
    """Values for the options that have no default."""
    needed = {k: f for k, f in cls.Options.model_fields.items() if f.is_required() and k != but}
    return {key: "x" if field.annotation is str else 3 for key, field in needed.items()}


def outside(cls: type[Configured], key: str) -> list[object]:
    """Values just outside of the bounds that the field states."""
    found: list[object] = []
    for limit in cls.Options.model_fields[key].metadata:
        found += [limit.ge - 1] if hasattr(limit, "ge") else []
        found += [limit.gt] if hasattr(limit, "gt") else []
        found += [limit.lt] if hasattr(limit, "lt") else []
        found += [limit.le + 1] if hasattr(limit, "le") else []
    return found


@FIELDS
def test_a_missing_option_is_shown_with_its_flag(cls, key):
    if not cls.Options.model_fields[key].is_required():
        assert key not in required(cls, "")
        return
    text = said(lambda: cls(**required(cls, key)))
    assert text.startswith(f"{cls.name} needs {key}: -z {key}=")
    cls(**required(cls, key), **cls.parse({key: text.rpartition("=")[2]}))  # the advice is good


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: f"{cls.kind}-{cls.name}")
def test_an_unknown_option_names_those_that_exist(cls):
    listing = ", ".join(cls.Options.model_fields) or "none"
    text = said(lambda: cls(**required(cls, ""), never=3))
    assert text == f"{cls.name} has no option never; it has: {listing}"
    assert text in said(lambda: cls.from_json({**required(cls, ""), "never": 3}))


@FIELDS
def test_a_misspelt_option_is_recognised(cls, key):
    text = said(lambda: cls(**required(cls, ""), **{f"{key}x": 3}))
    if len(key) > 2:
        assert f"did you mean {key}?" in text


@FIELDS
def test_a_wrong_type_names_option_and_value(cls, key):
    start = f"{cls.name}: -z {key} must be "
    for build in (
        lambda: cls(**{**required(cls, key), key: object}),
        lambda: cls.from_json({**required(cls, key), key: {"wrong": 1}}),
    ):
        text = said(build)
        assert text.startswith(start)
        assert ", got " in text
    takes_text = cls.Options.model_fields[key].annotation in (str, str | None)
    if not takes_text and (cls.name, key) not in NAMES:
        assert said(lambda: cls.parse({key: "wrong"})).startswith(start)
        assert said(lambda: cls.parse({key: "wrong"})).endswith(", got 'wrong'")


@FIELDS
def test_a_value_out_of_range_names_option_and_bound(cls, key):
    field = cls.Options.model_fields[key]
    if get_origin(field.annotation) is Literal:
        listed = said(lambda: cls.parse({key: "never"}))
        assert all(repr(choice) in listed for choice in get_args(field.annotation))
    for value in outside(cls, key):
        text = said(lambda value=value: cls(**{**required(cls, key), key: value}))
        assert text.startswith(f"{cls.name}: -z {key} must be ")
        assert text.endswith(f", got {value!r}")
        assert said(lambda value=value: cls.parse({key: str(value)})).endswith(f", got {value}")


def test_python_is_told_what_to_write():
    with pytest.raises(ConfigurationError) as caught:
        get("subset")
    assert str(caught.value) == 'subset needs n and k: relaxit.get("subset", n=20, k=10)'
    with pytest.raises(ConfigurationError, match=r"^subset needs k, for example k=1$"):
        get("subset", n=3)
    with pytest.raises(ConfigurationError, match=r"^gapped-st: gap must be at least 0, got -1$"):
        estimator("gapped-st", gap=-1)
    with pytest.raises(
        ConfigurationError, match=r"^subset: k = 3 exceeds n = 2; k must be at most n"
    ):
        get("subset", n=2, k=3)


class Made(Configured):
    api, name, kind = 1, "made", "estimator"

    class Options(Options):
        rate: float = Field(lt=1, description="below one")
        sort: Literal["a", "b"] = Field(description="one of two")
        many: list[int] = Field(description="several")
        label: str = Field(description="a text")
        flag: bool = Field(description="a switch")


def test_examples_have_the_right_types():
    values = "rate=0.5, sort='a', many=[1, 2], label='name', flag=True"
    with pytest.raises(OptionsError) as caught:
        Made()
    missing = "rate, sort, many, label and flag"
    assert str(caught.value) == f'made needs {missing}: relaxit.estimator("made", {values})'


def test_several_errors_are_said_together():
    with pytest.raises(OptionsError) as caught:
        Made.parse({"rate": "2", "flag": "x", "sorted": "a"})
    assert caught.value.said("-e") == (
        "made has no option sorted (did you mean sort?); it has: rate, sort, many, label, flag; "
        "made: -e rate must be less than 1, got 2; -e flag must be true or false, got 'x'"
    )
