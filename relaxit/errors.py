"""All errors that relaxit raises on purpose, each with its exit code on the command line.

They inherit from the built-in exception that a PyTorch user would expect to catch
(``ValueError`` for a bad value, ``NotImplementedError`` for an absent quantity), so that code
that was not written for relaxit still handles them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from pydantic import ValidationError

__all__ = [
    "CheckpointError",
    "ConfigurationError",
    "DataError",
    "DivergenceError",
    "DomainError",
    "PluginError",
    "RelaxitError",
    "ReproductionError",
    "ShapeError",
    "UnknownName",
    "Unsupported",
    "error_summary",
    "one_line",
    "shorten",
    "validation_summary",
]


class RelaxitError(Exception):
    """Base class of all errors raised on purpose. The message is one line and says what to do."""

    exit_code: ClassVar[int] = 1


class ConfigurationError(RelaxitError, ValueError):
    """A setting is missing, of the wrong type, out of range, or at odds with another one."""

    exit_code = 2


class DomainError(ConfigurationError):
    """A number lies outside the domain of the formula: a temperature of 0, a NaN logit."""


class ShapeError(ConfigurationError):
    """A tensor does not have the shape that the relaxation expects."""


class Unsupported(ConfigurationError, NotImplementedError):
    """The quantity does not exist for this relaxation. The message names those that do."""


class DivergenceError(RelaxitError, ArithmeticError):
    """Training reached a loss that is not finite; the last good weights were kept."""

    exit_code = 3


class DataError(RelaxitError, OSError):
    """A data file is absent, truncated or not what it claims to be."""

    exit_code = 4


class CheckpointError(RelaxitError, OSError):
    """A run directory or checkpoint is absent, damaged, or of another architecture."""

    exit_code = 4


class PluginError(RelaxitError, LookupError):
    """A plugin is missing, broken, of another contract version, or claims a taken name."""

    exit_code = 5


class ReproductionError(RelaxitError, ArithmeticError):
    """A study was completed, but a cell of it is further from its target than allowed."""

    exit_code = 6


class UnknownName(ConfigurationError, LookupError):
    """No such relaxation, estimator, data set, task or recipe.

    Args:
        kind: kind of the object, e.g. ``"relaxation"``.
        name: the name that was looked up.
        known: the names that exist.
        hint: a further sentence, e.g. about a plugin that failed to load.
        also: other names that are understood: suggested where they are nearest, but not listed.
    """

    def __init__(
        self, kind: str, name: str, known: Iterable[str], hint: str = "", also: Iterable[str] = ()
    ) -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name, [*known, *also], n=3, cutoff=0.5)
        if near and near[0] in known:
            near = [each for each in near if each in known]
        suggestion = f" Did you mean {' or '.join(near)}?" if near else ""
        listing = ", ".join(known) if known else "none"
        self.near = tuple(near)
        super().__init__(
            f"unknown {kind} {name!r}.{suggestion} Known: {listing}.{' ' + hint if hint else ''}"
        )


def one_line(text: object) -> str:
    r"""Return a text, or the message of an error, on one line.

    Example:
        >>> one_line(ValueError("two\nlines"))
        'two lines'
    """
    return " ".join(str(text).split())


def error_summary(error: BaseException, longest: int = 300) -> str:
    r"""Return type and message of an error on one line, short enough for a table.

    Example:
        >>> error_summary(ValueError("two\nlines"))
        'ValueError: two lines'
    """
    return shorten(f"{type(error).__name__}: {one_line(error)}".removesuffix(": "), longest)


def shorten(text: str, longest: int) -> str:
    """Truncate a text that is longer than ``longest`` characters.

    Example:
        >>> shorten("abcdef", 5)
        'ab...'
    """
    return text if len(text) <= longest else text[: longest - 3] + "..."


def validation_summary(error: ValidationError) -> str:
    """Return the errors that pydantic found as ``field: message (got value)``, on one line."""
    parts = []
    for item in error.errors(include_url=False):
        path = ".".join(str(key) for key in item["loc"])
        got = "" if item["type"] == "missing" else f" (got {item['input']!r})"
        parts.append(f"{path}: {item['msg']}{got}" if path else f"{item['msg']}{got}")
    return "; ".join(parts)
