"""Options and the frozen, named objects that hold them.

Relaxations, estimators and data sets are all the same kind of thing to a registry: a class with a
name, and an object that consists of its validated options. What they share is defined here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from relaxit.errors import ConfigurationError, validation_summary

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
            ConfigurationError: with pydantic's message.
        """
        values: dict[str, Any] = {}
        for key, text in texts.items():
            field = cls.model_fields.get(key)
            if field is None:
                values[key] = text
                continue
            annotated: Any = Annotated[field.annotation, field]
            adapter: TypeAdapter[Any] = TypeAdapter(annotated)
            read = adapter.validate_json if text[:1] in "[{" and text else adapter.validate_strings
            try:
                values[key] = read(text)
            except ValidationError as error:
                raise ConfigurationError(f"option {key}: {validation_summary(error)}") from error
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
                options = self.Options(**fields)
            except ValidationError as error:
                raise ConfigurationError(self._explain(error)) from error
        object.__setattr__(self, "options", options)
        # The fields that pydantic compares; compiled code of older torch cannot ask pydantic.
        object.__setattr__(self, "_fields", tuple(options))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Build an object from values of a configuration file (lists for tuples, and so on).

        Raises:
            ConfigurationError: with pydantic's message.
        """
        try:
            return cls(cls.Options.model_validate_json(json.dumps(dict(values))))
        except ValidationError as error:
            raise ConfigurationError(cls._explain(error)) from error

    @classmethod
    def _explain(cls, error: ValidationError) -> str:
        known = ", ".join(cls.Options.model_fields) or "none"
        return f"{cls.kind} {cls.name!r}: {validation_summary(error)}. Options: {known}"

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
