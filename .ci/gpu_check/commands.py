"""Commands that are stopped at a time limit, with all their children."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from results import read_json

GRACE = 5.0  # seconds between Ctrl-C and SIGKILL, in which `relaxit bench` writes its results
HURRY = 2.0  # the same after a signal to this command, whose sender may not wait
MARK = "GPU_CHECK_COMMAND"  # environment variable that identifies a command's children

# The command of the console script, which need not be on PATH.
RELAXIT = (sys.executable, "-c", "from relaxit.cli import main; main()")


class Stop:
    """Records SIGINT and SIGTERM once it listens, so that they do not interrupt anything midway."""

    number = 0

    def listen(self) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, self._note)

    def _note(self, number: int, frame: object) -> None:
        del frame
        self.number = number

    @property
    def why(self) -> str:
        """The reason given for everything that was cut by the signal; empty without one."""
        return f"stopped by {signal.Signals(self.number).name}" if self.number else ""


@dataclass(frozen=True)
class Command:
    """A command line; its files are named after it."""

    name: str
    words: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def stem(self) -> str:
        return self.name.replace(" ", "-")

    def outputs(self, directory: Path) -> tuple[Path, Path]:
        """Return the files of its stdout and stderr."""
        return directory / f"{self.stem}.out", directory / f"{self.stem}.err"


def relaxit(name: str, *words: object, **env: str) -> Command:
    return Command(name, (*RELAXIT, *map(str, words)), env)


@dataclass
class Ended:
    """The result of a command.

    Attributes:
        code: exit code; None if it was not started.
        cut: why it was stopped early or not started; empty if it ended by itself.
        out, err: files of its output.
    """

    name: str
    code: int | None
    cut: str
    out: Path
    err: Path

    @property
    def last_line(self) -> str:
        """The last line of its output, which is the reason if it failed."""
        text = "\n".join(path.read_text(errors="replace") for path in (self.out, self.err))
        return f"exit code {self.code}\n{text}".strip().splitlines()[-1].strip()

    @property
    def document(self) -> dict[str, Any] | None:
        """The JSON on its stdout; None if there is none."""
        return read_json(self.out)


class Process:
    """A running command, detached from the terminal of this one."""

    def __init__(
        self, command: Command, directory: Path, env: Mapping[str, str], end: float
    ) -> None:
        self.name, self.end = command.name, end
        self.out, self.err = command.outputs(directory)
        self.began, self.asked, self.cut = time.monotonic(), math.inf, ""
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                command.words,
                cwd=directory,
                env={**env, **command.env, MARK: str(self.out)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def ask(self, why: str) -> None:
        """Ask it to end, as Ctrl-C does."""
        if not self.cut and self.process.poll() is None:
            self.asked = time.monotonic()
            self.cut = why or f"ended after {self.asked - self.began:.0f} s, its share of the time"
            self.process.send_signal(signal.SIGINT)

    def over(self, patience: float) -> bool:
        """Whether it has ended, or was asked to more than so many seconds ago."""
        return self.process.poll() is not None or time.monotonic() >= self.asked + patience

    def finish(self) -> Ended:
        """Kill what is left of it and of its children, and report."""
        with contextlib.suppress(OSError):
            os.killpg(self.process.pid, signal.SIGKILL)
        # The compiler's workers, for example, have a session of their own and outlive their parent.
        mark = f"{MARK}={self.out}\0".encode()
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):  # it is gone, or belongs to another user
                if mark in path.read_bytes():
                    os.kill(int(path.parent.name), signal.SIGKILL)
        return Ended(self.name, self.process.wait(), self.cut, self.out, self.err)


def run_commands(
    commands: Sequence[Command],
    directory: Path,
    env: Mapping[str, str],
    stop: Stop,
    end: float,
    grace: float = GRACE,
    jobs: int = 1,
) -> Iterator[Ended]:
    """Run commands until they are done, time is up, or a signal arrives.

    A command that is not the last to start gets half of the remaining time, so that one that hangs
    does not cost all others.

    Args:
        commands: commands to run, in this order; names are unique.
        directory: working directory, which also gets their output.
        env: environment of the commands.
        stop: signal that ends all of them.
        end: time of the monotonic clock by which all have ended.
        grace: seconds before ``end`` at which they are asked to end.
        jobs: number of commands that run at once.

    Yields:
        The result of each, as they end.
    """
    waiting, running = list(commands), list[Process]()

    def left() -> float:
        return 0.0 if stop.number else end - grace - time.monotonic()

    try:
        while running or (waiting and left() > 0):
            while waiting and len(running) < jobs and left() > 0:
                share = left() / min(2, len(waiting))
                running.append(Process(waiting.pop(0), directory, env, time.monotonic() + share))
            for each in list(running):
                if left() <= 0 or time.monotonic() >= each.end:
                    each.ask(stop.why)
                if each.over(min(grace, HURRY) if stop.number else grace):
                    running.remove(each)
                    yield each.finish()
            time.sleep(0.02)
    finally:
        for each in running:
            each.finish()
    for command in waiting:
        why = stop.why or "no time was left"
        yield Ended(command.name, None, why, *command.outputs(directory))
