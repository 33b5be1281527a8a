"""Options and the frozen, named objects that hold them.

Relaxations, estimators and data sets are all the same kind of thing to a registry: a class with a
name, and an object that consists of its validated options. What they share is defined here.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from relaxit.errors import OptionsError, Problem
from relaxit.validation import problems_of

__all__ = ["Configured", "Options"]


class Options(BaseModel):
    """Base class of every options model: frozen, no unknown keys, strict types, finite numbers.

    Every field carries a description; ``relaxit show NAME`` prints them.

    Example:
        >>> from pydantic import Field
        >>> class MyOptions(Options):
        ...     size: int = Field(ge=1, description="number of items")
        >>> MyOptions(size=3)
        MyOptions(size=3)
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @classmethod
    def parse(cls, texts: Mapping[str, str]) -> dict[str, Any]:
        """Convert the texts of ``KEY=VALUE`` pairs to the types of the fields.

        A value that starts with ``[`` or ``{`` is read as JSON. Unknown keys are passed through,
        so that the validation of the whole model names them.

        Raises:
            OptionsError: naming every key with a value of the wrong type or out of range.
        """
        values: dict[str, Any] = {}
        problems: list[Problem] = []
        for key, text in texts.items():
            if key not in cls.model_fields:
                values[key] = text
                continue
            try:
                values[key] = cls._read(key, text)
            except ValidationError as error:
                problems += (p._replace(path=key + p.path) for p in problems_of(error))
        if problems:
            unknown = [
                Problem(key, "extra_forbidden", "") for key in texts.keys() - cls.model_fields
            ]
            raise OptionsError("", "", [*unknown, *problems], cls.model_fields)
        return values

    @classmethod
    def _read(cls, key: str, text: str) -> Any:
        adapter = _adapter(cls, key)
        if text[:1] not in ("[", "{"):
            return adapter.validate_strings(text)
        try:
            return adapter.validate_json(text)
        except ValidationError as error:
            if any(item["type"] == "json_invalid" for item in error.errors()):
                return adapter.validate_strings(text)  # says which type is wanted
            raise


def _adapter(model: type[BaseModel], key: str) -> TypeAdapter[Any]:
    field = model.model_fields[key]
    annotated: Any = Annotated[field.annotation, field]
    return TypeAdapter(annotated)


_LIKELY = (10, 0.5, 1, True, "name", [1, 2])


def _examples(
    model: type[BaseModel], missing: Sequence[str], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return values of missing options that fit the given ones; none if no such are found."""
    fitting = [_fitting(model, key) for key in missing]
    for values in zip(*fitting, strict=False):
        with contextlib.suppress(ValidationError):
            model(**given, **dict(zip(missing, values, strict=True)))
            return dict(zip(missing, values, strict=True))
    return {}


def _fitting(model: type[BaseModel], key: str) -> list[Any]:
    """Return values that an option may have, those that its field gives as examples first."""
    field, adapter = model.model_fields[key], _adapter(model, key)
    values = []
    for value in (*(field.examples or ()), *get_args(field.annotation), *_LIKELY):
        with contextlib.suppress(ValidationError):
            adapter.validate_python(value, strict=True)
            values.append(value)
    return values


class Configured:
    """A named class whose objects are their options: frozen, hashable, comparable, picklable.

    Attributes:
        api: version of the contract that the class was written for. A plugin states it as a number,
            which is checked when the plugin is loaded.
        name: registered name, lower-case words joined by ``-``.
        aliases: other names that the field uses. They are looked up too, but never displayed or
            saved. A registered name takes precedence over an alias.
        summary: one line for listings.
        Options: pydantic model of the options.
        references: papers and equations the formulas come from.
        expected_failures: names of conformance checks known to fail, each with its reason. A listed
            check that passes counts as a failure, so that the list stays up to date.
    """

    kind: ClassVar[str] = "object"
    api: ClassVar[int]
    name: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    summary: ClassVar[str] = ""
    Options: ClassVar[type[Options]] = Options
    references: ClassVar[tuple[str, ...]] = ()
    expected_failures: ClassVar[Mapping[str, str]] = {}
    options: Any
    _fields: tuple[Any, ...]

    def __init__(self, options: BaseModel | None = None, /, **fields: Any) -> None:
        if options is None:
            try:
                options = self.Options(**{key: self._declared(key, fields[key]) for key in fields})
            except ValidationError as error:
                raise self._error(error, fields) from error
        object.__setattr__(self, "options", options)
        # The fields that pydantic compares; compiled code of older torch cannot ask pydantic.
        object.__setattr__(self, "_fields", tuple(options))

    @classmethod
    def _declared(cls, key: str, value: Any) -> Any:
        """Return a list as a tuple where the option is one, as in a configuration file."""
        field = cls.Options.model_fields.get(key)
        if isinstance(value, list) and field and get_origin(field.annotation) is tuple:
            return tuple(value)
        return value

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Build an object from values of a configuration file (lists for tuples, and so on).

        Raises:
            OptionsError: if an option is missing, unknown, of the wrong type or out of range.
        """
        try:
            return cls(cls.Options.model_validate_json(json.dumps(dict(values))))
        except ValidationError as error:
            raise cls._error(error, values) from error

    @classmethod
    def parse(cls, texts: Mapping[str, str]) -> dict[str, Any]:
        """Convert the texts of ``KEY=VALUE`` pairs to the types of the options.

        Raises:
            OptionsError: as :meth:`Options.parse`, with the name of this class.
        """
        try:
            return cls.Options.parse(texts)
        except OptionsError as error:
            raise OptionsError(cls.kind, cls.name, error.problems, error.known) from error

    @classmethod
    def _error(cls, error: ValidationError, given: Mapping[str, Any]) -> OptionsError:
        problems = problems_of(error)
        missing = [problem.path for problem in problems if problem.kind == "missing"]
        examples = _examples(cls.Options, missing, given) if len(missing) == len(problems) else {}
        return OptionsError(cls.kind, cls.name, problems, cls.Options.model_fields, examples, given)

    def __setattr__(self, key: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen; build another one instead")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._fields == other._fields

    def __hash__(self) -> int:
        return hash((type(self), self.options))

    def __reduce__(self) -> tuple[type[Self], tuple[BaseModel]]:
        return type(self), (self.options,)

    def __repr__(self) -> str:
        fields = ", ".join(f"{k}={v!r}" for k, v in self.options)
        return f"{type(self).__name__}({fields})"
