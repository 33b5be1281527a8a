"""The command for a GPU that is there for ten minutes: its bounds, and what it leaves behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest

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

FOLDER = Path(sys.path.pop(0))
ROOT = FOLDER.parents[1]


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


@pytest.fixture
def session(tmp_path):
    files = tmp_path / "gpu-check-files"
    files.mkdir()
    return Session(
        out=tmp_path,
        files=files,
        parts=(),
        dry=True,
        data_dir=None,
        minutes=1.0,
        facts={"date": "2026-01-01T00:00:00", "torch": "2", "revision": "0123"},
        stop=Stop(),
        env=dict(os.environ),
    )


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


# --- bounds -----------------------------------------------------------------------------------


def test_what_hangs_is_killed_at_its_bound_with_its_children(session, tmp_path):
    file = tmp_path / "pid"
    hang = part("hang", python("sleep", HANG, file), python("late", "print(1)"))
    began = time.monotonic()
    code = run(session, [hang, part("after", python("hello", "print('hi')"))], 24.0)
    assert code == 1
    assert time.monotonic() - began < 23
    _, parts, page = left_by(tmp_path)
    assert parts["hang"]["outcome"] == "cut"
    (cut,) = parts["hang"]["cuts"]  # it had half of the time, the rest was for the other
    assert cut["what"] == "sleep"
    assert re.fullmatch(r"ended after [4-9] s, its share of the time", cut["why"])
    assert parts["hang"]["figures"] == {"late": "1\n"}
    assert parts["hang"]["share"] == pytest.approx(12, abs=0.5)
    assert parts["after"]["outcome"] == "passed"
    assert "- Hang: sleep: ended after" in page
    assert gone(int(text_of(file).rstrip(".")))


def test_the_last_command_has_all_the_time_and_no_more(session, tmp_path):
    hang = part("hang", python("sleep", "import time; time.sleep(60)"))
    assert run(session, [hang, part("after", python("hello", "print(1)"))], 8.0) == 1
    _, parts, _ = left_by(tmp_path)
    assert 3.1 < parts["hang"]["seconds"] < 4.5  # a share of 4, less a fifth to end in
    assert parts["after"]["outcome"] == "passed"


def test_ctrl_c_comes_first(session, tmp_path):
    """What a command writes when it is asked to end is not lost."""
    code = """
import json, signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it in the background
try:
    time.sleep(60)
except KeyboardInterrupt:
    json.dump({"stopped": True}, open("figures.json", "w"))
"""

    def read(session, result):
        result.documents["figures"] = read_json(session.files / "figures.json")

    assert run(session, [part("bench", python("long", code), after=read)], 5.0) == 1
    _, parts, _ = left_by(tmp_path)
    assert parts["bench"]["outcome"] == "cut"
    assert parts["bench"]["documents"]["figures"] == {"stopped": True}


def test_no_part_is_begun_without_time(session, tmp_path):
    assert run(session, [part("one", python("a", "print(1)"))], 1.0) == 1
    _, parts, _ = left_by(tmp_path)
    assert parts["one"]["outcome"] == "not run"
    assert parts["one"]["cuts"] == [{"what": "all of it", "why": "no time was left"}]


def test_children_of_what_ended_by_itself_are_killed_too(session, tmp_path):
    file = tmp_path / "pid"
    wait = (
        "while not (os.path.exists(sys.argv[1]) and os.path.getsize(sys.argv[1])): time.sleep(0.02)"
    )
    command = python("x", HANG.replace("time.sleep(60)\n", wait), file)
    end = time.monotonic() + 30
    (ended,) = run_commands([command], tmp_path, os.environ, session.stop, end)
    assert ended.code == 0
    assert gone(int(text_of(file).rstrip(".")))


def test_several_at_once(session, tmp_path):
    """Each waits for the others."""
    code = """
import pathlib, sys, time
pathlib.Path(sys.argv[1]).touch()
while len(list(pathlib.Path().glob("here-*"))) < 3: time.sleep(0.02)
"""
    session.end = time.monotonic() + 30
    result = Result("x", "X")
    commands = [python(f"n {n}", code, f"here-{n}") for n in range(3)]
    found = session.run(result, commands, jobs=3)
    assert [(each.name, each.code) for each in found] == [("n 0", 0), ("n 1", 0), ("n 2", 0)]
    assert not result.cuts


# --- failures ---------------------------------------------------------------------------------


def test_a_failing_part_is_reported_and_the_others_go_on(session, tmp_path):
    code = "import sys; print('first', file=sys.stderr); sys.exit('error: no `such` thing')"

    def surprise(session, result):
        raise KeyError("benchmarks")

    parts = [
        part("bad", python("command", code), python("fine", "print(1)")),
        part("odd", after=surprise),
        part("good", python("hello", "print('hi')")),
    ]
    assert run(session, parts, 60.0) == 1
    document, found, page = left_by(tmp_path)
    assert document["state"] == "finished"
    assert {name: each["outcome"] for name, each in found.items()} == {
        "bad": "failed",
        "odd": "failed",
        "good": "passed",
    }
    assert found["bad"]["failures"] == [{"what": "command", "why": "error: no `such` thing"}]
    assert "- `command`: `error: no 'such' thing`" in page
    assert found["bad"]["figures"] == {"fine": "1\n"}
    assert "- `odd`: `KeyError: 'benchmarks'`" in page
    assert "No figures." in page


def test_all_passed(session, tmp_path):
    assert run(session, [part("good", python("hello", "print('hi')"))], 60.0) == 0
    assert left_by(tmp_path)[2].count("Nothing.") == 2


# --- signals ----------------------------------------------------------------------------------

# The command itself, with other parts.
DRIVER = """
import runpy, sys
folder, out, file, code = sys.argv[1:]
sys.path.insert(0, folder)
import checks, commands, machine, suite
def replace(module, code):
    def work(session, result):
        command = commands.Command("it", (sys.executable, "-c", code, file))
        for ended in session.run(result, [command]):
            result.figures[ended.name] = ended.code
    module.work, module.show = work, lambda figures: iter(())
replace(machine, "print(1)")
replace(suite, code)
replace(checks, "")
facts = {"there": True, "torch": "2", "date": "2026", "revision": "0123"}
machine.find_facts = lambda stop, revision: (facts, "")
sys.argv = ["gpu_check", "--out", out, "--minutes", "2", "--parts", "machine,tests,checks"]
runpy.run_path(folder, run_name="__main__")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_what_was_done(number, tmp_path):
    file, out = tmp_path / "pid", tmp_path / "out"
    words = [sys.executable, "-c", DRIVER, FOLDER, out, file, HANG]
    process = subprocess.Popen([*map(str, words)], stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: (text_of(file) or "").endswith("."))
        while_running = json.loads((out / "gpu-check.json").read_text())
        process.send_signal(number)
        began = time.monotonic()
        process.communicate(timeout=20)
        assert time.monotonic() - began < 10
    finally:
        process.kill()
    assert process.returncode == 128 + number
    assert while_running["state"] == "running"
    assert [each["outcome"] for each in while_running["parts"]] == ["passed", "running", "not run"]
    document, parts, _ = left_by(out)
    assert document["state"] == f"stopped by {number.name}"
    assert {name: each["outcome"] for name, each in parts.items()} == {
        "machine": "passed",
        "tests": "cut",
        "checks": "not run",
    }
    assert parts["machine"]["figures"] == {"it": 0}
    assert parts["checks"]["cuts"][0]["why"] == f"stopped by {number.name}"
    assert gone(int(text_of(file).rstrip(".")))


# --- what each part makes of its commands -----------------------------------------------------


def answer(monkeypatch, *texts):
    """Every command says the next of these texts instead of being run; the commands are kept."""
    said, asked = iter(texts), []

    def run(session, result, commands, jobs=1):
        found = []
        for each in commands:
            asked.append(each.words)
            path = session.files / f"{each.stem}.out"
            path.write_text(text if isinstance(text := next(said), str) else json.dumps(text))
            if "--out" in each.words:
                (session.files / flag(each.words, "--out")).write_text(path.read_text())
            found.append(Ended(each.name, 0, "", path, path))
        return found

    monkeypatch.setattr(Session, "run", run)
    return asked


def flag(words, name):
    return words[words.index(name) + 1]


LISTED = {
    "relaxation": [{"name": "mine", "distribution": OWN}],
    "estimator": [
        {"name": "rloo", "distribution": OWN},
        {"name": "arm", "distribution": OWN},
        {"name": "theirs", "distribution": "other"},
    ],
    "benchmark": [],
}


def distributions(name, outcome="pass"):
    found = {
        "subject": f"{name}()",
        "check": "a_distribution",
        "outcome": outcome,
        "reason": "0.1 is not 0",
    }
    return {"name": name, "counts": {outcome: 1}, "results": [{**found, "seconds": 1.0}]}


def test_broken_distributions_are_named(session, monkeypatch):
    answer(
        monkeypatch,
        LISTED,
        distributions("mine"),
        distributions("rloo", "fail"),
        "error: no such thing",
    )
    session.dry = False
    result = Result("checks", "Conformance")
    checks.work(session, result)
    assert [row["name"] for row in result.figures["rows"]] == ["mine", "rloo"]  # not arm
    assert result.failures == [
        {"what": "rloo: a_distribution of rloo()", "why": "0.1 is not 0"},
        {"what": "relaxit check theirs", "why": "error: no such thing"},
    ]


def implementation(name, median, **over):
    seconds = None if median is None else {"median": median, "lower": median, "upper": median}
    row = {"name": name, "baseline": "", "compiled": False, "outcome": "done", "reason": ""}
    row |= {"seconds": seconds, "ratio": 1.0, "times_lower_bound": 2.0, "memory_bytes": 2**20}
    return {**row, "first_seconds": 0.5, **over}


def benchmark(*rows, **options):
    document = {"name": "draws", "summary": "", "options": options, "reference": "plain"}
    return {
        **document,
        "rounds": 3,
        "lower_bound": {"seconds": 1e-4},
        "reason": "",
        "implementations": rows,
    }


def test_benchmarks_are_condensed(session, monkeypatch):
    rows = [
        implementation("plain", 4e-3, baseline="torch"),
        implementation("other compiled", 2e-3, baseline="torch", compiled=True),
        implementation("ours", 1e-3),
        implementation("bad", None, outcome="failed", reason="it broke"),
        implementation("absent", None, outcome="skipped", reason="not installed"),
    ]
    answer(monkeypatch, {"benchmarks": [benchmark(*rows, batch=3, data_dir="/private")]})
    result = Result("sampling", "Sampling")
    benchmarks.run(session, result, [Command("bench x", ("bench",))])
    assert result.failures == [{"what": "draws: bad", "why": "it broke"}]
    (found,) = result.figures["tables"]
    assert found["compiled"] == "other compiled"
    assert [row["to_compiled"] for row in found["rows"]] == [2.0, 1.0, 0.5, None, None]
    lines = "\n".join(benchmarks.show(result.figures))
    assert "/private" not in lines
    assert "- first calls: other compiled 0.5 s" in lines
    assert "- skipped: absent: not installed" in lines
    assert "/ comp.: to other compiled; lower bound 0.1 ms." in lines
    assert re.search(r"^\| ours +\| +1 \| +1 \| +0.5 \| +2 \| +1 \|$", lines, re.M)


def test_training_is_in_seconds_of_an_epoch():
    found = benchmarks.condense(benchmark(implementation("tutorial", 0.5), steps=100))
    assert "| tutorial |       3 |" in "\n".join(benchmarks.show_benchmark(found))
    steps = Result("training", "", figures={"tables": [found]})
    assert training.script_seconds([steps]) == 3.0
    rows = [
        {"seconds": s, "test_elbo_discrete": -e} for s, e in ((9.0, 120), (1.0, 110), (2.0, 105))
    ]
    assert training.figures_of(rows, 3.0) == {
        "epochs": 3,
        "first": 9.0,
        "seconds": 1.5,
        "speed": 2.0,
        "test_elbo": -105,
    }


def cell(epochs, seconds, verdict="agrees"):
    comparison = {"epoch": 1, "column": "test", "mean": 1.0, "error": 0.1, "target": 2.0}
    comparison |= {"target_error": 0.1, "z": -7.0, "verdict": verdict}
    rows = {"0": [{}] * epochs}
    one = {"size": "8x4", "estimator": "st-gumbel", "way": "ensemble", "seconds": seconds}
    return {
        "study": {"name": "estimators-mnist", "recipe": {"epochs": 160}},
        "seeds": [0],
        "cells": [{**one, "rows": rows}],
        "comparisons": [comparison],
        "foot": ["A sentence."],
    }


def test_a_try_says_how_many_epochs_fit(session, monkeypatch):
    asked = answer(monkeypatch, cell(study.TRY, 4.0), cell(20, 40.0, "off"))
    session.dry, session.data_dir, session.end = False, Path("data"), time.monotonic() + 60
    result = Result("reproduce", "A stored study")
    study.work(session, result)
    first, second = (int(flag(words, "--epochs")) for words in asked)
    assert first == study.TRY
    assert 20 <= second <= 24  # 0.8 of 55 seconds at 2 seconds an epoch, and a start of less than 4
    assert result.figures["epochs"] == 20
    what = "estimators-mnist, 8x4, st-gumbel, epoch 1, test"
    assert result.failures == [{"what": what, "why": "off: z -7"}]
    lines = "\n".join(study.show(result.figures))
    assert "1 ± 0.1 | 2 ± 0.1 | -7 | off" in re.sub(" +", " ", lines)


def test_epochs_that_fit():
    assert study.fitting(left=100, start=10, seconds=7) == 10
    assert study.fitting(left=1, start=10, seconds=7) < 0


TESTS = """
import pytest
pytestmark = pytest.mark.gpu
def test_good(): pass
def test_bad(): assert 1 + 1 == 3, "arithmetic"
@pytest.fixture
def broken(): raise ValueError("no device")
def test_error(broken): pass
@pytest.mark.skip(reason="not here")
def test_skipped(): pass
"""


def test_outcomes_of_tests(session, monkeypatch, tmp_path):
    root = tmp_path / "project"
    (root / "tests").mkdir(parents=True)
    marker = '[tool.pytest.ini_options]\nmarkers = ["gpu: x"]\naddopts = "--no-such-option"\n'
    (root / "pyproject.toml").write_text(marker)
    (root / "tests" / "test_it.py").write_text(TESTS)
    (root / "tests" / "test_torn.py").write_text("import nothing_of_this_name\n")
    monkeypatch.setattr(suite, "ROOT", root)
    session.env["PYTHONPATH"] = str(FOLDER.parent)
    session.end = time.monotonic() + 60
    result = Result("tests", "GPU tests")
    suite.work(session, result)
    assert not result.cuts
    # A file that cannot be read ends pytest before its tests; what it says stands there.
    assert [each["what"] for each in result.failures] == ["tests/test_torn.py", "pytest"]
    (root / "tests" / "test_torn.py").unlink()
    (session.files / "tests.jsonl").unlink()
    result = Result("tests", "GPU tests")
    suite.work(session, result)
    assert result.figures["counts"] == {"passed": 1, "failed": 1, "error": 1, "skipped": 1}
    assert result.figures["skips"] == {"not here": 1}
    assert [each["what"] for each in result.failures] == [
        "tests/test_it.py::test_bad",
        "tests/test_it.py::test_error",
    ]
    assert "arithmetic" in result.failures[0]["why"]
    assert "no device" in result.failures[1]["why"]
    assert sorted(path.name for path in root.iterdir()) == ["pyproject.toml", "tests"]


# --- the surroundings -------------------------------------------------------------------------


def test_packages_that_are_not_installed_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "version_of", lambda name: "not installed")
    monkeypatch.setenv("RELAXIT_EPOCHS", "3")  # of the user, and not of these figures
    env = machine.environment(tmp_path, None, dry=True)
    assert "RELAXIT_EPOCHS" not in env
    places = env["PYTHONPATH"].split(os.pathsep)
    assert {str(ROOT), str(ROOT / "relaxit" / "launcher")} <= set(places)
    found = metadata.distributions(path=[str(tmp_path / "metadata")])
    points = {p.name: p.value for each in found for p in each.entry_points}
    assert points["categorical"] == "relaxit.categorical.hooks"
    for name in ("subset", "permutation"):
        assert points[name] == f"relaxit_{name}.hooks"
        assert str(ROOT / "plugins" / f"relaxit-{name}" / "src") in places


def start(*words, **env):
    return subprocess.run(
        [sys.executable, str(FOLDER), *map(str, words)],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_cuda_device_it_ends_in_one_line(tmp_path):
    done = start("--out", tmp_path / "out", CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "error: there is no CUDA device here; use --dry for a trial on the CPU\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--minutes", "0"], "--minutes must be above 0"),
        (["--minutes", "nan"], "--minutes must be above 0"),
        (["--parts", "tests,nonsense"], "unknown: nonsense"),
        (["--data-dir", "nowhere"], "has no directory MNIST: nowhere"),
    ],
)
def test_usage(words, said):
    done = start("--out", "out", *words)
    assert done.returncode == 2
    assert said in done.stderr


# --- the page ---------------------------------------------------------------------------------


def test_tables_fit():
    text = table(["", "ms"], [["a" * 200, "1"], ["b|c", "22"]])
    assert {len(line) for line in text.splitlines()} == {80}
    assert "b/c" in text
    assert table(["", "x", "y"], [["a", "-", "1"]], drop_empty=True).count("|") == 9
    assert table(["", "x"], []) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0"),
        (0.00012345, "1.2e-4"),
        (0.0012345, "0.0012"),
        (0.012345, "0.0123"),
        (-12.345, "-12.3"),
        (999.4, "999"),
        (123456.0, "123456"),
        (1.5e7, "1.5e7"),
    ],
)
def test_three_digits(value, text):
    assert number(value) == text


def test_the_widest_table_there_is_has_room_for_names():
    names = ["RelaxedOneHotCategorical", "relaxit compile bfloat16", "log form, 100 iterations"]
    numbers = [number(0.0123456)] * 5
    heads = ["", "ms", "ratio", "/ comp.", "bounds", "MiB"]
    assert "..." not in table(heads, [[name, *numbers] for name in names])


def test_infinity_is_no_json(session):
    session.facts["x"] = [float("inf"), {1: float("nan")}]
    assert session.document()["facts"]["x"] == [None, {"1": None}]


# --- all of it --------------------------------------------------------------------------------


SHOWS = {
    "machine": machine.show,
    "tests": suite.show,
    "checks": checks.show,
    "sampling": benchmarks.show,
    "training": benchmarks.show,
    "structures": benchmarks.show,
    "epochs": training.show,
    "reproduce": study.show,
}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_dry_run(tmp_path):
    before = {name: (ROOT / name).exists() for name in ("runs", "reproductions", "gpu-check-files")}
    done = start("--dry", "--out", tmp_path, "--minutes", 14)
    document, parts, text = left_by(tmp_path)
    assert done.returncode == 0, [each["failures"] + each["cuts"] for each in parts.values()]
    assert list(parts) == list(SHOWS)
    assert {each["outcome"] for each in parts.values()} == {"passed"}
    assert document["dry"]
    assert text == page(document, SHOWS)
    assert {name: (ROOT / name).exists() for name in before} == before

    figures = {name: each["figures"] for name, each in parts.items()}
    assert figures["machine"]["facts"]["Python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"subset", "permutation"} <= set(figures["machine"]["registered"]["relaxation"])
    counts = figures["tests"]["counts"]
    assert counts["passed" if counts.get("passed") else "skipped"] > 100
    assert [row["pass"] > 0 for row in figures["checks"]["rows"]] == [True, True]
    for name, tables in (("sampling", 4), ("training", 1), ("structures", 1)):
        assert len(figures[name]["tables"]) == tables
        for found in figures[name]["tables"]:
            assert any(row["ratio"] and row["memory_bytes"] is not None for row in found["rows"])
            assert f"### {found['name']}: " in text
    assert [(row["engine"], row["precision"]) for row in figures["epochs"]["rows"]] == [
        ("eager", "float32"),
        ("eager", "bfloat16"),
    ]
    for row in figures["epochs"]["rows"]:
        assert row["epochs"] == 2
        assert f"{row['test_elbo']:.2f}" in text
    (comparison,) = figures["reproduce"]["comparisons"]
    assert comparison["verdict"] == "agrees"
    assert set(parts["reproduce"]["documents"]) == {"reproduce"}
