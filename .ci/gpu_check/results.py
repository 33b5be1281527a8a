"""What came of a part, and files that are whole or not there."""

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
    """What came of a part; all of it goes into the JSON.

    Attributes:
        outcome: ``not run``, ``running``, ``passed``, ``failed``, ``cut``.
        seconds, share: that it took, and that it could have had.
        failures: what is wrong: ``what`` and ``why``.
        cuts: what was not run to its end, likewise.
        notes: sentences that a reader of the figures must know.
        figures: what the page shows.
        documents: what the commands said, by their name.
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
        """The outcome of a part that has ended."""
        return "failed" if self.failures else "cut" if self.cuts else "passed"


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all, and onto the disk."""
    other = path.with_name(path.name + ".part")
    with other.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    other.replace(path)


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON document; None if there is none, or it is not whole."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
        return found
    except (OSError, ValueError):
        return None


def read_rows(path: Path) -> list[dict[str, Any]]:
    """JSON documents, one a line; none if the file is not there. The last line may be torn."""
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.split("\n")[:-1]]


def finite(value: Any) -> Any:
    """The same with None for numbers that JSON does not have."""
    if isinstance(value, Mapping):
        return {str(key): finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
