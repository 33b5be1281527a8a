"""Checks of every registered object: it is frozen, comparable, picklable and set by its options."""

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
    """The class states `name`, `api` and `kind` as the registry requires. Why: otherwise the plugin
    is listed as broken and its name is unknown."""
    cls = type(case.subject)
    problem = registration_problem(cls.kind, cls, cls.name)
    require(not problem, problem)


@object_check()
def options_are_described(case: Case) -> None:
    """Every option has a description. Why: it is all that `relaxit show` can print about an
    option."""
    fields = type(case.subject).Options.model_fields
    silent = [name for name, field in fields.items() if not field.description]
    require(not silent, f"options without a description: {', '.join(silent)}")


@object_check()
def is_frozen_and_comparable(case: Case) -> None:
    """Attributes and options cannot be set, and equal options give equal objects with equal hashes.
    Why: objects are used as keys of caches, and to tell runs apart."""
    subject = case.subject
    twin = type(subject)(subject.options.model_copy())
    require(twin == subject and hash(twin) == hash(subject), "equal options give unequal objects")
    places = [(twin, name) for name in ("options", "name", "a_new_attribute")]
    places += [(twin.options, name) for name in type(twin).Options.model_fields]
    for owner, name in places:
        try:
            setattr(owner, name, None)
        except Exception:  # of any type
            continue
        raise Failed(f"attribute {name!r} of {type(owner).__name__} can be set")


@object_check()
def is_picklable(case: Case) -> None:
    """Pickling and copying give an equal object. Why: data loaders and sweeps send objects to other
    processes."""
    subject = case.subject
    for copied in (pickle.loads(pickle.dumps(subject)), copy.deepcopy(subject)):
        require(copied == subject, f"the copy {copied!r} does not equal {subject!r}")


@object_check()
def options_round_trip(case: Case) -> None:
    """Options can be restored from JSON and from KEY=VALUE texts. Why: the config.json of a run and
    the flag -o store them in these forms."""
    subject: Any = case.subject
    stored = subject.options.model_dump(mode="json")
    require(type(subject).from_json(stored) == subject, "options from JSON give another object")
    texts = {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in stored.items()
        if value is not None
    }
    parsed = type(subject)(**subject.Options.parse(texts))
    require(parsed == subject, f"-o {texts} gives {parsed!r}")


@object_check()
def objects_are_independent(case: Case) -> None:
    """Building another object does not change this one. Why: if options are kept on the class, the
    second model silently changes the first."""
    subject: Any = case.subject
    before = _facts(subject)
    others = type(subject).examples() if isinstance(subject, Relaxation) else []
    for options in [*(other.options for other in others), subject.options]:
        other = type(subject)(options)
        require(_facts(subject) == before, f"building {other!r} changed {subject!r}")


def _facts(subject: Any) -> list[Any]:
    """Return what an object answers to some queries, or the name of the error raised."""
    if not isinstance(subject, Relaxation):
        return [repr(subject), subject.hard, subject.unbiased, subject.own_distribution]
    case = RelaxationCase(subject)
    queries: list[Callable[[], Any]] = [
        lambda: (repr(subject), subject.capabilities),
        lambda: (subject.event_shape, subject.param_shape),
        lambda: subject(case.params()).sample((2,), case.generator(0)).tolist(),
        lambda: float(subject.discrete(case.params()).entropy()),
    ]
    return [_answer(query) for query in queries]


def _answer(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except Exception as error:  # other checks report it
        return type(error).__name__
