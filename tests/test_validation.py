"""What pydantic finds is said in words of our own."""

from __future__ import annotations

import math
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from relaxit.validation import problems_of, validation_summary

FOREIGN = ("Input should", "Field required", "Extra inputs", "permitted", "Value error")


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    sizes: tuple[Annotated[int, Field(ge=1)], ...] = ()


def odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("it must be odd")
    return value


CASES = [
    (Annotated[int, Field(gt=0)], -1, "x must be greater than 0, got -1"),
    (Annotated[int, Field(ge=1)], 0, "x must be at least 1, got 0"),
    (Annotated[float, Field(lt=1)], 1.0, "x must be less than 1, got 1.0"),
    (Annotated[float, Field(le=0.5)], 0.6, "x must be at most 0.5, got 0.6"),
    (Annotated[int, Field(lt=2**63)], 2**63, f"x must be less than {2**63}, got {2**63}"),
    (Annotated[int, Field(multiple_of=4)], 6, "x must be a multiple of 4, got 6"),
    (Annotated[float, Field(allow_inf_nan=False)], math.nan, "x must be finite, got nan"),
    (int, "x", "x must be an integer, got 'x'"),
    (int, 1.5, "x must be an integer, got 1.5"),
    (int, True, "x must be an integer, got True"),
    (int, None, "x must be an integer, got None"),
    (float, "x", "x must be a number, got 'x'"),
    (bool, "x", "x must be true or false, got 'x'"),
    (str, 3, "x must be a string, got 3"),
    (tuple[int, ...], 3, "x must be a list, as in [1, 2], got 3"),
    (list[int], "x", "x must be a list, as in [1, 2], got 'x'"),
    (frozenset[int], 3, "x must be a list, as in [1, 2], got 3"),
    (tuple[int, ...], (1, "a"), "x[1] must be an integer, got 'a'"),
    (dict[str, int], 3, "x must be a table, got 3"),
    (Inner, 3, "x must be a table, got 3"),
    (Inner, {"sizes": (2, 0)}, "x.sizes[1] must be at least 1, got 0"),
    (Inner, {"size": 3}, "x.size is unknown"),
    (Literal["a", "b"], "c", "x must be 'a' or 'b', got 'c'"),
    (Colour, "c", "x must be 'red' or 'blue', got 'c'"),
    (Annotated[str, Field(min_length=1)], "", "x must not be empty, got ''"),
    (Annotated[str, Field(min_length=3)], "a", "x must have at least 3 characters, got 'a'"),
    (Annotated[str, Field(max_length=1)], "ab", "x must have at most 1 character, got 'ab'"),
    (Annotated[list[int], Field(min_length=1)], [], "x must not be empty, got []"),
    (
        Annotated[list[int], Field(max_length=1)],
        [1, 2],
        "x must have at most 1 entry, got [1, 2]",
    ),
    (Annotated[str, Field(pattern="^a")], "b", "x must match ^a, got 'b'"),
    (Annotated[int, AfterValidator(odd)], 2, "x is not valid: it must be odd"),
    (int | None, "x", "x must be an integer, got 'x'"),
    (int | Literal["auto"], "x", "x must be an integer or must be 'auto', got 'x'"),
    (float | list[int], "x", "x must be a number or must be a list, as in [1, 2], got 'x'"),
    (complex, "x", "x must be an object of class complex, got 'x'"),
    (bytes, 3, "x must be a valid bytes, got 3"),  # not in the tables: most of pydantic's words
]


def error_of(annotation: Any, value: Any) -> ValidationError:
    model = type("M", (BaseModel,), {
        "__annotations__": {"x": annotation},
        "model_config": ConfigDict(strict=not isinstance(annotation, type(Colour))),
    })  # fmt: skip
    with pytest.raises(ValidationError) as caught:
        model(x=value)
    return caught.value


@pytest.mark.parametrize(("annotation", "value", "said"), CASES)
def test_each_kind_of_error_is_a_sentence(annotation, value, said):
    text = validation_summary(error_of(annotation, value))
    assert text == said
    assert not any(word in text for word in FOREIGN)


def test_a_value_is_called_by_its_flag_and_said_once():
    model = type("M", (BaseModel,), {"__annotations__": {"a_b": int, "c": int}})
    with pytest.raises(ValidationError) as caught:
        model(a_b="x")
    flag = lambda path: f"--{path.replace('_', '-')}"  # noqa: E731
    text = validation_summary(caught.value, flag)
    assert text == "--a-b must be an integer, got 'x'; --c is missing"
    assert validation_summary(caught.value, lambda _: "it") == "it must be an integer, got 'x'"


def test_a_long_value_is_shortened_and_on_one_line():
    text = validation_summary(error_of(int, "a\nb" * 100))
    assert len(text) < 120
    assert "\n" not in text


def test_an_error_without_a_place_is_its_message():
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Annotated[int, AfterValidator(odd)]).validate_python(2)
    assert problems_of(caught.value)[0].text == "it must be odd"
