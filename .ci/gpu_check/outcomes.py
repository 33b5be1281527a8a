"""A pytest plugin that records each test's outcome at once, since pytest may be stopped."""

from __future__ import annotations

import json
import os
from typing import Any

FILE = "GPU_CHECK_OUTCOMES"  # environment variable with the path of the file


def pytest_configure(config: Any) -> None:
    if not hasattr(config, "workerinput"):  # a worker of xdist, whose reports come to its leader
        config.pluginmanager.register(Outcomes())


class Outcomes:
    """Writes one line per test."""

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Record a test that has run, or could not."""
        if report.when == "call" or not report.passed:
            outcome = "error" if report.failed and report.when != "call" else report.outcome
            write(report, outcome, report.duration)

    def pytest_collectreport(self, report: Any) -> None:
        """Record a file that cannot be collected."""
        if report.failed:
            write(report, "error", 0.0)


def write(report: Any, outcome: str, seconds: float) -> None:
    row = {"test": report.nodeid, "outcome": outcome, "seconds": seconds, "why": why(report)}
    with open(os.environ[FILE], "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def why(report: Any) -> str:
    """Return the reason for a skip, or the first line of a failure."""
    if report.passed:
        return ""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else str(report.longrepr)
    return text.strip().partition("\n")[0]
