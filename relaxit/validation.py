"""What pydantic found wrong with some values, in sentences that do not presuppose pydantic."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from relaxit.errors import Problem, one_line, shorten

if TYPE_CHECKING:
    from pydantic import ValidationError

__all__ = ["problems_of", "validation_summary"]


def validation_summary(error: ValidationError, named: Callable[[str], str] = str) -> str:
    """Return what pydantic found as sentences on one line, the first of each value.

    Args:
        error: error of a model.
        named: function that returns what a value is called, such as its flag, given its path, such
            as ``model.hidden[0]``.

    Example:
        >>> from pydantic import BaseModel, Field, ValidationError
        >>> class Size(BaseModel):
        ...     n: int = Field(ge=1)
        >>> try:
        ...     Size(n=0)
        ... except ValidationError as error:
        ...     print(validation_summary(error))
        n must be at least 1, got 0
    """
    said: dict[str, str] = {}
    for problem in problems_of(error):
        name = named(problem.path) if problem.path else ""
        said.setdefault(name, f"{name} {problem.text}".strip())
    return "; ".join(said.values())


def problems_of(error: ValidationError) -> list[Problem]:
    """Return what pydantic found, in words that do not presuppose pydantic."""
    found: dict[str, list[Any]] = {}
    for item in error.errors(include_url=False):
        found.setdefault(_path(item["loc"]), []).append(item)
    return [_problem(path, items) for path, items in found.items()]


def _problem(path: str, items: Sequence[Any]) -> Problem:
    """Join the errors of one value; there are several if it may have one of several types."""
    first, kind = items[0], items[0]["type"]
    if kind in _WITHOUT_VALUE:
        return Problem(path, kind, _WITHOUT_VALUE[kind], first["loc"])
    text = " or ".join(dict.fromkeys(_wanted(item) for item in items))
    if kind in ("value_error", "assertion_error"):
        return Problem(path, kind, f"is not valid: {text}" if path else text, first["loc"])
    value = first["input"]
    bare = isinstance(value, str) and first.get("ctx", {}).keys() & _LIMITS
    got = value if bare else shorten(one_line(repr(value)), 80)
    return Problem(path, kind, f"{text}, got {got}", first["loc"])


def _wanted(item: Any) -> str:
    """Return what a value must be."""
    kind, context = item["type"], item.get("ctx", {})
    if context.get("min_length") == 1:
        return "must not be empty"
    if kind in _SENTENCES:
        text = _SENTENCES[kind].format_map({key: _plain(value) for key, value in context.items()})
        return text.replace(" 1 entries", " 1 entry").replace(" 1 characters", " 1 character")
    for start, sentence in _TYPES.items():
        if kind.startswith(start):
            return sentence
    message = item["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return one_line(message.replace("Input should", "must", 1))


def _plain(value: object) -> object:
    """Return a number as it is written by hand: without ``.0``."""
    return f"{value:.15g}" if isinstance(value, float) else value


def _path(place: Sequence[int | str]) -> str:
    """Return the path of a value, without pydantic's names of the types that it may have."""
    path = ""
    for key in place:
        if isinstance(key, int):
            path += f"[{key}]"
        elif not path or not _MEMBER_OF_UNION.fullmatch(key):
            path += f".{key}" if path else key
    return path


_WITHOUT_VALUE = {"missing": "is missing", "extra_forbidden": "is unknown"}
_LIMITS = {"gt", "ge", "lt", "le", "multiple_of"}
_SENTENCES = {
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "finite_number": "must be finite",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "is_instance_of": "must be an object of class {class}",
    "is_subclass_of": "must be a subclass of {class}",
    "none_required": "must be absent",
}
_TYPES = {
    "int_": "must be an integer",
    "float_": "must be a number",
    "bool_": "must be true or false",
    "string_": "must be a string",
    "tuple_": "must be a list, as in [1, 2]",
    "list_": "must be a list, as in [1, 2]",
    "set_": "must be a list, as in [1, 2]",
    "frozen_set_": "must be a list, as in [1, 2]",
    "dict_": "must be a table",
    "mapping_": "must be a table",
    "model_": "must be a table",
}
_MEMBER_OF_UNION = re.compile(
    r"(int|float|str|bool|none|(dict|list|tuple|set|frozenset|literal|nullable|constrained|function"
    r"|is-instance|lax-or-strict|json-or-python)\b.*)"
)
