"""The results of a part, and files that are written atomically."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Result:
    """The results of a part, all of which go into the JSON.

    Attributes:
        outcome: ``not run``, ``running``, ``passed``, ``failed``, ``cut``.
        seconds, share: seconds that it took, and seconds that it was given.
        failures: what failed: ``what`` and ``why``.
        cuts: what was not run to its end: ``what`` and ``why``.
        notes: sentences that are needed to read the results.
        figures: results that the page shows.
        documents: JSON output of the commands, by their name.
    """

    name: str
    title: str
    outcome: str = "not run"
    seconds: float = 0.0
    share: float = 0.0
    failures: list[dict[str, str]] = field(default_factory=list)
    cuts: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    documents: dict[str, Any] = field(default_factory=dict)

    def fail(self, what: str, why: str) -> None:
        self.failures.append({"what": what, "why": " ".join(why.split())[:300]})

    def cut(self, what: str, why: str) -> None:
        self.cuts.append({"what": what, "why": why})

    def judge(self) -> str:
        """Return the outcome of a part that has ended."""
        return "failed" if self.failures else "cut" if self.cuts else "passed"


def write_whole(path: Path, text: str) -> None:
    """Write a file atomically, and flush it to the disk."""
    partial = path.with_name(path.name + ".part")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read_json(path: Path) -> dict[str, Any] | None:
    """Return a JSON document; None if there is none, or it is incomplete."""
    try:
        document: dict[str, Any] = json.loads(path.read_text())
        return document
    except (OSError, ValueError):
        return None


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return JSON documents, one per line; none without the file. The last may be incomplete."""
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.split("\n")[:-1]]


def finite(value: Any) -> Any:
    """Return the same with None for numbers that JSON does not have."""
    if isinstance(value, Mapping):
        return {str(key): finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
