"""Conformance: `relaxit check` of all relaxations and the main estimators."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from commands import relaxit
from machine import listed
from page import table
from results import Result
from session import OWN, Session

ESTIMATORS = (  # and those of plugins
    *("pathwise", "straight-through", "st-gumbel", "gumbel-rao"),
    *("reinmax", "rloo", "rebar", "relax"),
)
DRY = ("--only", "is_registrable", "--only", "options_round_trip")
KINDS = {  # of outcomes, and their names on the page
    "pass": "pass",
    "fail": "fail",
    "expected failure": "expected",
    "not applicable": "not appl.",
    "not run": "not run",
}


def work(session: Session, result: Result) -> None:
    """Run the checks, several at once."""
    words = ("--device", session.device, "--json", *(DRY if session.dry else ()))
    commands = [  # one thread each, as several run at once and the tensors are small
        relaxit(f"check {name}", "check", name, *words, OMP_NUM_THREADS="1")
        for name in names(session, result)
    ]
    if not commands:
        result.fail("relaxit list", "it lists nothing to check")
    result.figures = {"rows": []}
    for ended in session.run(result, commands, session.jobs):
        if document := ended.document:
            result.documents[ended.name] = document
            enter(result, document)
        elif not ended.cut:
            result.fail(f"relaxit {ended.name}", ended.last_line)


def names(session: Session, result: Result) -> list[str]:
    """Return what is checked; in a dry run the first of each kind."""
    there = listed(session, result)
    relaxations = [each["name"] for each in there.get("relaxation", [])]
    known = {each["name"]: each["distribution"] for each in there.get("estimator", [])}
    estimators = [name for name in ESTIMATORS if name in known]
    estimators += [name for name, distribution in known.items() if distribution != OWN]
    most = 1 if session.dry else None
    return relaxations[:most] + estimators[:most]


def enter(result: Result, document: dict[str, Any]) -> None:
    """Enter a row of the table, and what failed."""
    seconds = sum(each["seconds"] for each in document["results"])
    row = {"name": document["name"], **document["counts"], "seconds": seconds}
    result.figures["rows"].append(row)
    for each in document["results"]:
        if each["outcome"] == "fail":
            what = f"{document['name']}: {each['check']} of {each['subject']}"
            result.fail(what, each["reason"])


def show(figures: dict[str, Any]) -> Iterator[str]:
    rows = [
        [row["name"], *(str(row.get(kind, 0)) for kind in KINDS), f"{row['seconds']:.0f}"]
        for row in figures["rows"]
    ]
    yield table(["", *KINDS.values(), "s"], rows)
