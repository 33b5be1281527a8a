"""What every registered object must be: frozen, comparable, storable, told by its options."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

from relaxit.plugins import registration_problem
from relaxit.relaxation import Relaxation
from relaxit.testing.case import Case, RelaxationCase
from relaxit.testing.check import Failed, object_check, require

__all__ = [
    "is_frozen_and_comparable",
    "is_picklable",
    "is_registrable",
    "objects_are_independent",
    "options_are_described",
    "options_round_trip",
]


@object_check()
def is_registrable(case: Case) -> None:
    """Its class states name, api and kind as the registry asks. Why: otherwise the plugin is
    listed as broken and its name is unknown."""
    cls = type(case.subject)
    problem = registration_problem(cls.kind, cls, cls.name)
    require(not problem, problem)


@object_check()
def options_are_described(case: Case) -> None:
    """Every option has a description. Why: `relaxit show` has nothing else to say about it."""
    fields = type(case.subject).Options.model_fields
    silent = [name for name, field in fields.items() if not field.description]
    require(not silent, f"no description: {', '.join(silent)}")


@object_check()
def is_frozen_and_comparable(case: Case) -> None:
    """Its attributes and its options cannot be set, and equal options make equal objects with equal
    hashes. Why: objects are keys of caches, and a run is told from another by them."""
    subject = case.subject
    twin = type(subject)(subject.options.model_copy())
    require(twin == subject and hash(twin) == hash(subject), "equal options, but not equal objects")
    places = [(twin, name) for name in ("options", "name", "a_new_attribute")]
    places += [(twin.options, name) for name in type(twin).Options.model_fields]
    for owner, name in places:
        try:
            setattr(owner, name, None)
        except Exception:  # whatever the refusal is called
            continue
        raise Failed(f"attribute {name!r} of {type(owner).__name__} can be set")


@object_check()
def is_picklable(case: Case) -> None:
    """Pickling and copying give an equal object. Why: data loaders and sweeps send objects to
    other processes."""
    subject = case.subject
    for copied in (pickle.loads(pickle.dumps(subject)), copy.deepcopy(subject)):
        require(copied == subject, f"{copied!r} is not {subject!r}")


@object_check()
def options_round_trip(case: Case) -> None:
    """Its options come back from JSON and from KEY=VALUE texts. Why: a run's config.json and the
    flag -o carry them so."""
    subject: Any = case.subject
    stored = subject.options.model_dump(mode="json")
    require(type(subject).from_json(stored) == subject, "JSON gives another object")
    texts = {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in stored.items()
        if value is not None
    }
    parsed = type(subject)(**subject.Options.parse(texts))
    require(parsed == subject, f"-o {texts} gives {parsed!r}")


@object_check()
def objects_are_independent(case: Case) -> None:
    """Building another object changes nothing about this one. Why: options kept on the class make
    the second model change the first, silently."""
    subject: Any = case.subject
    before = _facts(subject)
    others = type(subject).examples() if isinstance(subject, Relaxation) else []
    for options in [*(other.options for other in others), subject.options]:
        other = type(subject)(options)
        require(_facts(subject) == before, f"building {other!r} changed {subject!r}")


def _facts(subject: Any) -> list[Any]:
    """What can be asked of an object; where there is no answer, the error's name."""
    if not isinstance(subject, Relaxation):
        return [repr(subject), subject.hard, subject.unbiased, subject.own_distribution]
    case = RelaxationCase(subject)
    asks: list[Callable[[], Any]] = [
        lambda: (repr(subject), subject.capabilities),
        lambda: (subject.event_shape, subject.param_shape),
        lambda: subject(case.params()).sample((2,), case.generator(0)).tolist(),
        lambda: float(subject.discrete(case.params()).entropy()),
    ]
    return [_answer(ask) for ask in asks]


def _answer(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except Exception as error:  # another check's business
        return type(error).__name__
