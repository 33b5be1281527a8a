"""One run of this command: its parts, their shares of the time, and their output."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from commands import GRACE, Command, Ended, Stop, run_commands
from page import page
from results import Result, finite, write_whole

ROOT = Path(__file__).resolve().parents[2]
NAME = "gpu-check"
OWN = "relaxit-framework"  # the distribution; plugin packages have others
LEAST = 3.0  # seconds; with less, a part is not started


@dataclass(frozen=True)
class Part:
    """A part of the run.

    Attributes:
        weight: its share of the remaining time is this over the sum for the remaining parts.
        work: runs its commands and enters their results.
        show: yields the paragraphs of the page about its results.
    """

    name: str
    title: str
    weight: float
    work: Callable[[Session, Result], None]
    show: Callable[[dict[str, Any]], Iterator[str]]


@dataclass
class Session:
    """One run of this command.

    Attributes:
        out: directory of the JSON and the page.
        files: working directory of the commands, with all that they write.
        dry: whether it is the tiny variant on the CPU.
        data_dir: directory of the MNIST files, if there is one.
        facts: facts about the machine.
        env: environment of the commands.
        listed: output of `relaxit list`.
        end, grace: time limit of the part that runs.
    """

    out: Path
    files: Path
    parts: Sequence[Part]
    dry: bool
    data_dir: Path | None
    minutes: float
    facts: dict[str, Any]
    stop: Stop
    env: dict[str, str]
    results: list[Result] = field(default_factory=list)
    listed: dict[str, Any] = field(default_factory=dict)
    state: str = "running"
    end: float = 0.0
    grace: float = GRACE

    @property
    def device(self) -> str:
        return "cpu" if self.dry else "cuda"

    @property
    def jobs(self) -> int:
        """Number of commands at once where nothing is timed: one per core, and two stay free."""
        return max(1, min(12, (os.cpu_count() or 1) - 2))

    @property
    def data(self) -> tuple[str, ...]:
        """The flag for the data, if there are any."""
        return ("--data-dir", str(self.data_dir)) if self.data_dir else ()

    @property
    def left(self) -> float:
        """Seconds that the part may still use."""
        return self.end - self.grace - time.monotonic()

    def run(self, result: Result, commands: Sequence[Command], jobs: int = 1) -> list[Ended]:
        """Run commands within the time limit of the part; what did not finish is entered as cut.

        Returns:
            The result of each, in their order.
        """
        by_name = {}
        for ended in run_commands(
            commands, self.files, self.env, self.stop, self.end, self.grace, jobs
        ):
            by_name[ended.name] = ended
            if ended.cut:
                result.cut(ended.name, ended.cut)
            self.write()
        return [by_name[command.name] for command in commands]

    def document(self) -> dict[str, Any]:
        """Return the session as values that JSON has."""
        whole = {
            "format": 1,
            "state": self.state,
            "dry": self.dry,
            "minutes": self.minutes,
            "data": "MNIST" if self.data_dir else "the bundled digits and random images",
            "facts": self.facts,
            "parts": [dataclasses.asdict(each) for each in self.results],
        }
        clean: dict[str, Any] = finite(whole)
        return clean

    def write(self) -> None:
        """Write both files again."""
        document = self.document()
        text = json.dumps(document, indent=1, allow_nan=False) + "\n"
        write_whole(self.out / f"{NAME}.json", text)
        shows = {part.name: part.show for part in self.parts}
        write_whole(self.out / f"{NAME}.md", page(document, shows))


def run_parts(session: Session, end: float) -> int:
    """Run all parts, the most informative first, and return the exit code.

    Args:
        session: session to fill in.
        end: time of the monotonic clock by which everything has ended.
    """
    session.results = [Result(part.name, part.title) for part in session.parts]
    session.write()
    weight = sum(part.weight for part in session.parts)
    for part, result in zip(session.parts, session.results, strict=True):
        result.share = max(0.0, (end - time.monotonic()) * part.weight / weight)
        weight -= part.weight
        if session.stop.number or result.share < LEAST:
            result.cut("all of it", session.stop.why or "no time was left")
        else:
            run_part(session, part, result)
    session.state = session.stop.why or "finished"
    session.write()
    if session.stop.number:
        return 128 + session.stop.number
    return int(any(each.outcome != "passed" for each in session.results))


def run_part(session: Session, part: Part, result: Result) -> None:
    """Run a part within its share."""
    say(f"{part.title}: {result.share:.0f} s at most")
    began = time.monotonic()
    session.end, session.grace = began + result.share, min(GRACE, result.share / 5)
    result.outcome = "running"
    session.write()
    try:
        part.work(session, result)
    except Exception as error:  # an error in one part must not stop the others
        result.fail(part.name, f"{type(error).__name__}: {error}")
    result.seconds = time.monotonic() - began
    result.outcome = result.judge()
    say(f"{part.title}: {result.outcome}, {result.seconds:.0f} s")
    session.write()


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
