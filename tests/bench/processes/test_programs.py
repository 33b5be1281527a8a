"""Programs that a fake runner runs, and one that a real one does. No time is looked at."""

import json
import sys
from pathlib import Path

import pytest

from relaxit.bench.processes.programs import (
    RELAXIT,
    Program,
    ProgramFailed,
    Run,
    run_program,
    time_programs,
)
from relaxit.bench.rounds import Spread
from relaxit.bench.run import Stopped
from relaxit.tasks.vae.benchmarks.whole_runs import training_programs


def program(name: str, **more) -> Program:
    return Program(name, ("true",), **more)


class Runner:
    """Each program takes what it is said to take, and one second more each time."""

    def __init__(self, **seconds: float) -> None:
        self.seconds, self.calls = seconds, []

    def __call__(self, asked: Program) -> Run:
        self.calls.append(asked.name)
        if asked.name == "fails":
            raise ProgramFailed("exit code 3: no")
        if self.calls.count(asked.name) > self.seconds.get("stop_after", 99):
            raise KeyboardInterrupt
        seconds = self.seconds[asked.name] * self.calls.count(asked.name)
        return Run(seconds, {"half": seconds / 2})


def time(runner: Runner, *programs: Program, rounds: int = 3):
    return time_programs("test", "programs", programs, runner, rounds=rounds)


def test_medians_ratios_and_parts():
    b = program("b", note="twice", marks={"half": "-", "never": "-"})
    report = time(Runner(a=1.0, b=2.0), program("a", reference=True), b)
    first, second = report.rows
    assert (report.rounds, report.reference) == (3, "a")
    assert first.seconds == Spread(2.0, 1.5, 2.5)
    assert (second.seconds.median, second.ratio, second.note) == (4.0, 2.0, "twice")
    assert second.parts == {"half": Spread(2.0, 1.5, 2.5)}
    assert first.parts == {}
    assert (report.measured, report.broken) == (True, False)
    assert json.loads(json.dumps(report.to_json()))["rows"][1]["parts"]["half"]["median"] == 2.0


def test_without_a_reference_there_are_no_ratios():
    report = time(Runner(a=1.0), program("a"))
    assert (report.reference, report.rows[0].ratio) == ("", None)


def test_one_that_fails_leaves_the_others():
    report = time(Runner(a=1.0), program("fails"), program("a"))
    assert [row.outcome for row in report.rows] == ["failed", "done"]
    assert report.excuses == ["fails: ProgramFailed: exit code 3: no"]
    assert not report.broken
    assert time(Runner(), program("fails")).broken


def test_ctrl_c_leaves_the_rounds_that_are_whole():
    with pytest.raises(Stopped) as stop:
        time(Runner(a=1.0, b=1.0, stop_after=2), program("a"), program("b"))
    assert stop.value.report.rounds == 2
    assert [row.seconds.median for row in stop.value.report.rows] == [1.5, 1.5]


def python(code: str, **more) -> Program:
    return Program("python", (sys.executable, "-c", code), **more)


def test_a_real_program(tmp_path):
    code = (
        "import os, sys; open('made', 'w').close(); print('one', flush=True);"
        "print('threads', os.environ['OMP_NUM_THREADS'], file=sys.stderr)"
    )
    marks = {"first": "on", "threads": "threads 7", "none": "three"}
    run = run_program(python(code, marks=marks), tmp_path, threads=7)
    assert (tmp_path / "made").exists()
    assert set(run.parts) == {"first", "threads"}
    assert 0 < run.parts["first"] <= run.parts["threads"] <= run.seconds


def test_a_real_program_that_fails(tmp_path):
    with pytest.raises(ProgramFailed, match=r"exit code 3: because"):
        run_program(python("print('because'); raise SystemExit(3)"), tmp_path)


def test_what_is_measured_is_there():
    script, ours = training_programs(2, Path("data"), "cpu")
    assert script.reference
    for each in (script, ours):
        words = each.command
        assert words[words.index("--epochs") + 1] == "2"
        assert Path(words[words.index("--data-dir") + 1]).is_absolute()


def test_help_runs_as_the_console_script_does(tmp_path):
    assert run_program(Program("help", (*RELAXIT, "--help")), tmp_path).seconds > 0
