"""The kit is tested: everything in ``broken`` is caught by exactly the check meant for it.

``python -m pytest tests/testing/test_testing_broken.py -s`` prints the table.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil

import pytest

from relaxit.testing import ALPHA, Result, cases, checks, results
from tests.testing import broken
from tests.testing.sound import at_most_one, choices, constant, estimators, follows, orders

RELAXATIONS = [*choices.SOUND, *orders.SOUND, *at_most_one.SOUND, *constant.SOUND, *follows.SOUND]
SOUND = [*RELAXATIONS, *estimators.SOUND]
MODULES = [
    importlib.import_module(found.name)
    for found in pkgutil.walk_packages(broken.__path__, f"{broken.__name__}.")
    if not found.ispkg
]
BROKEN = [subject for module in MODULES for subject in module.BROKEN]


def name_of(subject) -> str:
    return type(subject).__name__


@functools.cache
def verdicts(subject) -> list[Result]:
    (case,) = cases(subject, relaxations=[choices.Choice()])
    return list(results(case))


@pytest.mark.parametrize("subject", SOUND, ids=name_of)
def test_sound_ones_pass(subject):
    wrong = [r for r in verdicts(subject) if r.outcome not in ("pass", "not applicable")]
    assert not wrong
    assert sum(r.outcome == "pass" for r in verdicts(subject)) >= 15


@pytest.mark.parametrize("subject", BROKEN, ids=name_of)
def test_broken_ones_are_caught_by_their_check(subject):
    failed = {r.check: r.reason for r in verdicts(subject) if r.outcome == "fail"}
    assert list(failed) == [subject.caught_by], failed


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_broken_class_is_listed_beside_its_check(module):
    """A file in ``broken`` has the path of the checks that catch what it lists."""
    own = {
        c for c in vars(module).values() if inspect.isclass(c) and c.__module__ == module.__name__
    }
    assert {type(s) for s in module.BROKEN} == {c for c in own if hasattr(c, "caught_by")}
    place = module.__name__.replace(broken.__name__, "relaxit.testing")
    caught_by = {subject.caught_by for subject in module.BROKEN}
    assert {c.function.__module__ for c in checks() if c.name in caught_by} == {place}


def test_every_check_catches_something():
    assert {check.name for check in checks()} == {subject.caught_by for subject in BROKEN}


def test_every_check_is_documented_and_short():
    for check in checks():
        assert check.statement.endswith("."), check.name
        assert check.why, check.name
        assert len(inspect.getsource(check.function).splitlines()) <= 30, check.name
        assert 0 <= check.false_alarm <= 10 * ALPHA


def test_the_table():
    width = max(len(name_of(subject)) for subject in BROKEN)
    lines = [f"{'broken':{width}}  {'caught by':38}  what the check says"]
    for subject in BROKEN:
        for result in verdicts(subject):
            if result.outcome == "fail":
                lines.append(f"{name_of(subject):{width}}  {result.check:38}  {result.reason[:90]}")
    assert len(lines) == len(BROKEN) + 1
    print("\n" + "\n".join(lines))
