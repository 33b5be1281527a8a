"""Sound relaxations with a single value: a choice among one, and a number that never changes."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from relaxit import Options
from tests.testing.sound.choices import Choice, GivenChoice


class OneOptions(Options):
    size: int = Field(default=1, ge=1, description="number of choices")


class ChoiceOfOne(Choice):
    """One of one: the smallest size of a structure that has a size."""

    name = "choice-of-one"
    Options = OneOptions
    capabilities = replace(Choice.capabilities, compiles=True)

    @classmethod
    def examples(cls):
        return [cls(size=1), cls(size=3)]


class MaskedChoiceOfOne(GivenChoice):
    """The same, with masks and with scores given the choice."""

    name = "masked-choice-of-one"
    Options = OneOptions

    @classmethod
    def examples(cls):
        return [cls(size=1), cls(size=3)]


SOUND = [ChoiceOfOne(), MaskedChoiceOfOne()]
