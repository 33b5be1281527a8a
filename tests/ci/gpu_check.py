"""The modules of ``.ci/gpu_check``, and how tests run its parts and read what is left of a run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

# As Python itself does for `python .ci/gpu_check`.
sys.path.insert(0, str(Path(__file__).parents[2] / ".ci" / "gpu_check"))
import benchmarks
import checks
import machine
import study
import suite
import training
from commands import Command, Ended, Stop, run_commands
from page import number, page, plain, table
from results import Result, read_json
from session import OWN, Part, Session, run_parts

SCRIPT = Path(sys.path.pop(0))
ROOT = SCRIPT.parents[1]

__all__ = [
    "HANG",
    "OWN",
    "ROOT",
    "SCRIPT",
    "Command",
    "Ended",
    "Result",
    "Session",
    "Stop",
    "benchmarks",
    "checks",
    "gone",
    "left_by",
    "machine",
    "number",
    "page",
    "part",
    "python",
    "read_json",
    "run",
    "run_commands",
    "start",
    "study",
    "suite",
    "table",
    "text_of",
    "training",
    "wait_for",
]


def python(name, code, *words):
    return Command(name, (sys.executable, "-c", code, *map(str, words)))


def part(name, *commands, after=lambda session, result: None):
    """A part that runs commands and fails where they do."""

    def work(session, result):
        for ended in session.run(result, commands):
            if ended.code and not ended.cut:
                result.fail(ended.name, ended.last_line)
            elif not ended.cut:
                result.figures[ended.name] = ended.out.read_text()
        after(session, result)

    return Part(name, name.capitalize(), 1.0, work, lambda figures: iter(figures.values()))


def run(session, parts, seconds):
    session.parts = parts
    return run_parts(session, time.monotonic() + seconds)


def left_by(directory):
    """The document, after a look at whether the page says the same."""
    document = json.loads((directory / "gpu-check.json").read_text())
    text = (directory / "gpu-check.md").read_text()
    for each in document["parts"]:
        row = rf"^\| {each['title']} +\| {each['outcome']} +\| .*\| +(\d+) \| +(\d+) \|$"
        counts = re.search(row, text, re.M).groups()
        assert counts == (str(len(each["failures"])), str(len(each["cuts"])))
        assert f"\n## {each['title']}\n" in text
        for what in (*each["failures"], *each["cuts"]):
            assert plain(what["why"]) in " ".join(text.split())
    assert f"State: {document['state']}." in " ".join(text.split())
    for line in text.splitlines():
        assert len(line) <= 80 or not line.startswith("|"), line
    return document, {each["name"]: each for each in document["parts"]}, text


def gone(pid):
    """Whether a process has ended, be it that nobody has asked after it yet."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return True
    return fields[0] == "Z"


def wait_for(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)
    return found


def text_of(path):
    return path.exists() and path.read_text()


# A child in a session of its own, which no signal to a group reaches; and neither obeys Ctrl-C.
HANG = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
code = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid()) + '.'); time.sleep(60)"
subprocess.Popen([sys.executable, "-c", code, sys.argv[1]], start_new_session=True)
time.sleep(60)
"""


def start(*words, **env):
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, words)],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
