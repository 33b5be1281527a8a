"""The conformance page lists every check, with its property, its reason and when it applies."""

from __future__ import annotations

import inspect
import os
import re
from collections import Counter
from collections.abc import Iterator

from relaxit.testing import Check, checks
from tests.pages import page_of

MARKS = "<!-- checks: begin -->\n", "<!-- checks: end -->\n"


def applies(check: Check) -> str:
    """When a check applies, from the docstring or the arguments of the function that decides."""
    words = " ".join((check.absent.__doc__ or "").split())
    if found := re.search(r"\bApplies: (.*)\.$", words):
        return found[1]
    function = check.absent.__qualname__.partition(".")[0]
    known = ("claims", "denies", "countable", "varies")
    assert function in known, f"the docstring of {function}() must say `Applies: WHEN.`"
    held = inspect.getclosurevars(check.absent).nonlocals
    word = "denied" if function == "denies" else "claimed"
    names = held["capabilities"] if "capabilities" in held else [held["capability"]]
    parts = [f"`{name}` {word}" for name in names]
    more = {"countable": ["values can be listed"], "varies": ["more than one value"]}
    return ", ".join(parts + more.get(function, []))


def check_tables() -> str:
    """The part of the conformance page that is made of the checks themselves."""
    relaxations, estimators = checks("relaxation"), checks("estimator")
    groups = {
        "Relaxations and estimators": [c for c in relaxations if c in estimators],
        "Relaxations": [c for c in relaxations if c not in estimators],
        "Estimators": [c for c in estimators if c not in relaxations],
    }
    return "\n".join(part for title, group in groups.items() for part in table(title, group))


def table(title: str, group: list[Check]) -> Iterator[str]:
    yield f"\n### {title}\n"
    needed = Counter(name for c in group for name in c.needs)
    first = {name for name, times in needed.items() if times > len(group) / 2}
    if first:
        names = ", ".join(f"`{c.name}`" for c in group if c.name in first)
        yield f"Run before all others, which are not run unless these pass: {names}.\n"
    yield "| check | property | why | applies | false alarms |\n|---|---|---|---|---|"
    for c in group:
        after = ", ".join(f"`{name}`" for name in c.needs if name not in first)
        when = applies(c) + (f"; after {after}" if after else "")
        rate = f"{c.false_alarm:.0e}".replace("e-0", "e-") if c.false_alarm else "-"
        why = c.why[:1].upper() + c.why[1:]
        yield "| " + " | ".join([f"`{c.name}`", c.statement, why, when, rate]) + " |"
    yield ""


def test_the_tables_of_checks_are_those_of_the_kit():
    path = page_of("conformance")
    before, mark, rest = path.read_text().partition(MARKS[0])
    found, end, after = rest.partition(MARKS[1])
    assert mark, f"{path.name} has lost its mark {MARKS[0]}"
    assert end, f"{path.name} has lost its mark {MARKS[1]}"
    wanted = check_tables() + "\n"
    if os.environ.get("REWRITE_CHECK_TABLES") and found != wanted:
        path.write_text(before + mark + wanted + end + after)
        found = wanted
    missing = "\n".join(line for line in wanted.splitlines() if line not in found.splitlines())
    stale = "\n".join(line for line in found.splitlines() if line not in wanted.splitlines())
    assert found == wanted, (
        "conformance.md differs from the checks. Run this test with REWRITE_CHECK_TABLES=1, "
        f"or write:\n{missing}\nin place of:\n{stale}\nAll of it:\n{wanted}"
    )


def test_properties_fit_into_a_table():
    for check in checks():
        assert "|" not in check.statement + check.why, check.name
        assert check.statement.endswith("."), check.name
        assert check.why.endswith("."), check.name
