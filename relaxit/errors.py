"""All errors that relaxit raises on purpose, each with its exit code on the command line.

They inherit from the built-in exception that a PyTorch user would expect to catch
(``ValueError`` for a bad value, ``NotImplementedError`` for an absent quantity), so that code
that was not written for relaxit still handles them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

__all__ = [
    "CheckpointError",
    "ConfigurationError",
    "DataError",
    "DivergenceError",
    "DomainError",
    "OptionsError",
    "PluginError",
    "Problem",
    "RelaxitError",
    "ReproductionError",
    "ShapeError",
    "UnknownName",
    "Unsupported",
    "error_summary",
    "one_line",
    "shorten",
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


class Problem(NamedTuple):
    """What is wrong with one value.

    Attributes:
        path: path of the value, such as ``model.hidden[0]``; empty for the whole model.
        kind: pydantic's name of the error, such as ``missing``.
        text: rest of the sentence that begins with the name of the value.
        place: keys and indices of the path.
    """

    path: str
    kind: str
    text: str
    place: tuple[int | str, ...] = ()


class OptionsError(ConfigurationError):
    """Options of a registered class are missing, unknown, of the wrong type or out of range.

    Args:
        kind: kind of the class, e.g. ``"relaxation"``.
        name: its registered name; empty if it is not known.
        problems: what is wrong with which option.
        known: names of all options.
        examples: values that the missing options may have; empty if none are known.
        given: names of the options that were given.
    """

    def __init__(
        self,
        kind: str,
        name: str,
        problems: Sequence[Problem],
        known: Iterable[str] = (),
        examples: Mapping[str, object] = {},
        given: Iterable[str] = (),
    ) -> None:
        self.kind, self.name, self.problems = kind, name, tuple(problems)
        self.known, self.examples, self.given = tuple(known), dict(examples), tuple(given)
        super().__init__(self.said())

    def __reduce__(self) -> tuple[Any, ...]:
        fields = (self.kind, self.name, self.problems, self.known, self.examples, self.given)
        return type(self), fields

    def said(self, flag: str = "") -> str:
        """Return the message, for Python or for the flag that takes ``KEY=VALUE``."""
        missing = [p.path for p in self.problems if p.kind == "missing"]
        unknown = [p.path for p in self.problems if p.kind == "extra_forbidden"]
        wrong = [p for p in self.problems if p.path not in (*missing, *unknown)]
        parts = [f"{self._subject} needs {_listed(missing)}{self._how(flag)}"] if missing else []
        parts += [self._unknown(key) for key in unknown]
        option = f"{flag} " if flag else ""
        texts = [f"{option}{p.path} {p.text}" if p.path else p.text for p in wrong]
        start = f"{self.name}: " if self.name and texts else ""
        return "; ".join([*parts, *([start + "; ".join(texts)] if texts else [])])

    def without_missing(self, names: Iterable[str]) -> OptionsError:
        """Return the error without missing options that come from elsewhere, as sizes may."""
        names = tuple(names)
        problems = [p for p in self.problems if p.kind != "missing" or p.path not in names]
        examples = {key: value for key, value in self.examples.items() if key not in names}
        given = (*self.given, *names)
        return OptionsError(self.kind, self.name, problems, self.known, examples, given)

    @property
    def _subject(self) -> str:
        return self.name or "it"

    def _how(self, flag: str) -> str:
        if not self.examples:
            return ""
        if flag:
            return ": " + " ".join(f"{flag} {key}={value}" for key, value in self.examples.items())
        values = ", ".join(f"{key}={value!r}" for key, value in self.examples.items())
        function = {"relaxation": "relaxit.get", "estimator": "relaxit.estimator"}.get(self.kind)
        if self.given or not function:
            return f", for example {values}"
        return f': {function}("{self.name}", {values})'

    def _unknown(self, key: str) -> str:
        near = difflib.get_close_matches(key, self.known, n=1)
        suggestion = f" (did you mean {near[0]}?)" if near else ""
        listing = ", ".join(self.known) or "none"
        return f"{self._subject} has no option {key}{suggestion}; it has: {listing}"


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


class DivergenceError(RelaxitError, ArithmeticError):
    """Training reached a loss that is not finite; the last good weights were kept.

    Attributes:
        step: first step with such a loss.
    """

    exit_code = 3
    step: int = 0


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


_MOST_LISTED = 30
"""If there are more names, they are listed only where no name is similar."""


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
        listing = f" Known: {', '.join(known) if known else 'none'}."
        if near and len(known) > _MOST_LISTED:
            listing = ""
        self.near = tuple(near)
        super().__init__(
            f"unknown {kind} {name!r}.{suggestion}{listing}{' ' + hint if hint else ''}"
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
