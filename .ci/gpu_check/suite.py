"""The tests marked ``gpu``."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import outcomes
from commands import Command
from page import items, table
from results import Result, read_rows
from session import ROOT, Session


def work(session: Session, result: Result) -> None:
    """Run the tests, several at once if xdist is installed."""
    file = session.files / "tests.jsonl"
    command = Command("pytest", words(session), {outcomes.FILE: str(file)})
    (ended,) = session.run(result, [command])
    rows = read_rows(file)
    counts = Counter(row["outcome"] for row in rows)
    skips = Counter(row["why"] for row in rows if row["outcome"] == "skipped")
    slowest = sorted(rows, key=lambda row: -row["seconds"])[:5]
    result.figures = {
        "counts": dict(counts),
        "skips": dict(skips),
        "slowest": [row for row in slowest if row["seconds"] >= 1],
    }
    for row in rows:
        if row["outcome"] in ("failed", "error"):
            result.fail(row["test"], row["why"])
    if ended.code not in (0, 1) and not ended.cut:
        result.fail("pytest", ended.last_line)
    elif not session.dry and not ended.cut and not counts["passed"]:
        result.fail("pytest", "no test passed")


def words(session: Session) -> tuple[str, ...]:
    """Return the command line."""
    command = [
        *(sys.executable, "-m", "pytest", "-m", "gpu", "-q"),
        *("-p", "no:cacheprovider", "-p", "gpu_check.outcomes"),
        # The project's own options are for all tests: doctests, and five minutes for each.
        *("-o", "addopts=", "--strict-markers", "-c", str(ROOT / "pyproject.toml")),
        *("--basetemp", str(session.files / "tests")),
    ]
    if importlib.util.find_spec("pytest_timeout"):
        command.append(f"--timeout={max(1, min(60, session.left / 2)):.0f}")
    if importlib.util.find_spec("xdist") and not session.dry and session.jobs > 1:
        command += ["-n", str(session.jobs)]
    places = [ROOT / "tests", *sorted(ROOT.glob("plugins/*/tests"))]
    return (*command, *map(str, places))


def show(figures: dict[str, Any]) -> Iterator[str]:
    known = ("passed", "failed", "error", "skipped")
    yield table(known, [[str(figures["counts"].get(each, 0)) for each in known]], left=0)
    yield items(
        [
            *(f"{number} skipped: {why}" for why, number in figures["skips"].items()),
            *(f"{row['seconds']:.0f} s: `{row['test']}`" for row in figures["slowest"]),
        ]
    )
