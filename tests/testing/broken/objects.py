"""Objects with broken options, identity or pickling."""

from __future__ import annotations

import torch
from pydantic import ConfigDict, Field, field_serializer

from relaxit import Options
from tests.testing.sound.choices import Choice


class OtherApi(Choice):
    """Written for another version of the contract."""

    api = 99
    caught_by = "is_registrable"


class SilentOption(Choice):
    """An option without a description."""

    caught_by = "options_are_described"

    class Options(Options):
        size: int = 3


class Settable(Choice):
    """Attributes can be set after the object was made."""

    caught_by = "is_frozen_and_comparable"
    __setattr__ = object.__setattr__


class ForgetsOptionsInPickle(Choice):
    """Comes back from pickle with default options."""

    caught_by = "is_picklable"

    def __reduce__(self):
        return type(self), ()


class RoundedOptions(Options):
    size: int = Field(default=3, description="number of choices")
    scale: float = Field(default=1.25, description="not used")

    @field_serializer("scale")
    def rounded(self, scale):
        return round(scale)


class LossyOptions(Choice):
    """A run's config.json would hold other options than the run had."""

    Options = RoundedOptions
    caught_by = "options_round_trip"


class OptionsOnTheClass(Choice):
    """Keeps its size on the class, as pytorch-struct's DependencyCRF keeps ``multiroot``."""

    caught_by = "objects_are_independent"
    size = 3

    def __init__(self, *args, **fields):
        super().__init__(*args, **fields)
        type(self).size = self.options.size

    @property
    def event_shape(self):
        return torch.Size((self.size,))

    param_shape = event_shape


class FlagOnTheClass(Choice):
    """Keeps a flag on the class that changes numbers and no shape (DependencyCRF, once more)."""

    caught_by = "objects_are_independent"
    size = 3

    def __init__(self, *args, **fields):
        super().__init__(*args, **fields)
        type(self).size = self.options.size

    def relax(self, scores, temperature):
        return super().relax(scores / type(self).size, temperature)


class MutableOptions(Choice):
    """Options that can be set."""

    caught_by = "is_frozen_and_comparable"

    class Options(Options):
        model_config = ConfigDict(frozen=False)
        size: int = Field(default=3, description="number of choices")

        def __hash__(self):
            return hash(self.size)


BROKEN = [
    OtherApi(),
    SilentOption(),
    Settable(),
    ForgetsOptionsInPickle(size=2),
    LossyOptions(),
    OptionsOnTheClass(size=3),
    FlagOnTheClass(),
    MutableOptions(),
]
