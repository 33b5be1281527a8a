"""The command for a GPU that is there for ten minutes: its bounds, and what it leaves behind."""

from __future__ import annotations

import importlib.util
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

SCRIPT = Path(__file__).parents[1] / ".ci" / "gpu_check.py"
ROOT = SCRIPT.parents[1]


def _load():
    spec = importlib.util.spec_from_file_location("gpu_check", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


gpu = _load()


def python(name, code, *words):
    return gpu.Command(name, (sys.executable, "-c", code, *map(str, words)))


def part(name, *commands, after=lambda session, result: None):
    """A part that runs commands and fails where they do."""

    def work(session, result):
        for each, ended in session.run(result, commands).items():
            if ended.code and not ended.cut:
                result.fail(each, ended.last_line)
            elif not ended.cut:
                result.figures[each] = ended.out.read_text()
        after(session, result)

    return gpu.Part(name, name.capitalize(), 1.0, work, lambda figures: iter(figures.values()))


@pytest.fixture
def session(tmp_path):
    return gpu.Session(
        out=tmp_path,
        files=gpu.prepare(tmp_path),
        device="cpu",
        sizes=gpu.DRY,
        data_dir=None,
        minutes=1.0,
        facts={"date": "2026-01-01T00:00:00", "torch": "2"},
        stop=gpu.Stop(),
        env=dict(os.environ),
    )


def run(session, parts, seconds, monkeypatch):
    monkeypatch.setattr(gpu, "PARTS", tuple(parts))
    return gpu.run_parts(session, parts, time.monotonic() + seconds)


def left_by(folder):
    """The document, after a look at whether the page says the same."""
    document = json.loads((folder / "gpu-check.json").read_text())
    page = (folder / "gpu-check.md").read_text()
    for each in document["parts"]:
        row = rf"^\| {each['title']} +\| {each['outcome']} +\| .*\| +(\d+) \| +(\d+) \|$"
        counts = re.search(row, page, re.M).groups()
        assert counts == (str(len(each["failures"])), str(len(each["cuts"])))
        assert f"\n## {each['title']}\n" in page
        for what in (*each["failures"], *each["cuts"]):
            assert gpu.plain(what["why"]) in " ".join(page.split())
    assert f"State: {document['state']}." in " ".join(page.split())
    for line in page.splitlines():
        assert len(line) <= 80 or not line.startswith("|"), line
    return document, {each["name"]: each for each in document["parts"]}, page


def gone(pid):
    """Whether a process has ended, be it that nobody has asked after it yet."""
    fields = gpu._stat(pid)
    return not fields or fields[0] == "Z"


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


def test_what_hangs_is_killed_at_its_bound_with_its_children(session, monkeypatch, tmp_path):
    file = tmp_path / "pid"
    hang = part("hang", python("sleep", HANG, file), python("late", "print(1)"))
    began = time.monotonic()
    code = run(session, [hang, part("after", python("hello", "print('hi')"))], 24.0, monkeypatch)
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


def test_the_last_command_has_all_the_time_and_no_more(session, monkeypatch, tmp_path):
    hang = part("hang", python("sleep", "import time; time.sleep(60)"))
    assert run(session, [hang, part("after", python("hello", "print(1)"))], 8.0, monkeypatch) == 1
    _, parts, _ = left_by(tmp_path)
    assert 3.1 < parts["hang"]["seconds"] < 4.5  # a share of 4, less a fifth to end in
    assert parts["after"]["outcome"] == "passed"


def test_ctrl_c_comes_first(session, monkeypatch, tmp_path):
    """What a command writes when it is asked to end is not lost."""
    code = """
import json, time
try:
    time.sleep(60)
except KeyboardInterrupt:
    json.dump({"stopped": True}, open("figures.json", "w"))
"""

    def read(session, result):
        result.documents["figures"] = gpu.read_json(session.files / "figures.json")

    assert run(session, [part("bench", python("long", code), after=read)], 5.0, monkeypatch) == 1
    _, parts, _ = left_by(tmp_path)
    assert parts["bench"]["outcome"] == "cut"
    assert parts["bench"]["documents"]["figures"] == {"stopped": True}


def test_no_part_is_begun_without_time(session, monkeypatch, tmp_path):
    assert run(session, [part("one", python("a", "print(1)"))], 1.0, monkeypatch) == 1
    _, parts, _ = left_by(tmp_path)
    assert parts["one"]["outcome"] == "not run"
    assert parts["one"]["cuts"] == [{"what": "all of it", "why": "no time was left"}]


def test_several_at_once(session, tmp_path):
    commands = [python(f"n {n}", "import time; time.sleep(1)") for n in range(3)]
    began = time.monotonic()
    end = began + 30
    found = gpu.run_commands(commands, tmp_path, os.environ, session.stop, end, jobs=3)
    assert list(found) == ["n 0", "n 1", "n 2"]
    assert {each.code for each in found.values()} == {0}
    spans = sum(each.seconds for each in found.values())
    assert time.monotonic() - began < spans


# --- failures ---------------------------------------------------------------------------------


def test_a_failing_part_is_reported_and_the_others_go_on(session, monkeypatch, tmp_path):
    code = "import sys; print('first', file=sys.stderr); sys.exit('error: no `such` thing')"

    def surprise(session, result):
        raise KeyError("benchmarks")

    parts = [
        part("bad", python("command", code), python("fine", "print(1)")),
        part("odd", after=surprise),
        part("good", python("hello", "print('hi')")),
    ]
    assert run(session, parts, 60.0, monkeypatch) == 1
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


def test_all_passed(session, monkeypatch, tmp_path):
    assert run(session, [part("good", python("hello", "print('hi')"))], 60.0, monkeypatch) == 0
    assert left_by(tmp_path)[2].count("Nothing.") == 2


# --- signals ----------------------------------------------------------------------------------

DRIVER = """
import sys
sys.path.insert(0, sys.argv[1])
import gpu_check as gpu
def part(name, code):
    def work(session, result):
        command = gpu.Command(name, (sys.executable, "-c", code, sys.argv[3]))
        for name_, ended in session.run(result, [command]).items():
            result.figures[name_] = ended.code
    return gpu.Part(name, name.capitalize(), 1.0, work, lambda figures: iter(()))
ALL = (("one", "print(1)"), ("two", sys.argv[4]), ("three", ""))
gpu.PARTS = tuple(part(*each) for each in ALL)
gpu.find_facts = lambda stop, revision: ({"there": True, "torch": "2", "date": "2026"}, "")
sys.exit(gpu.main(["--out", sys.argv[2], "--minutes", "2"]))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_what_was_done(number, tmp_path):
    file, out = tmp_path / "pid", tmp_path / "out"
    words = [sys.executable, "-c", DRIVER, SCRIPT.parent, out, file, HANG]
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
        "one": "passed",
        "two": "cut",
        "three": "not run",
    }
    assert parts["one"]["figures"] == {"one": 0}
    assert parts["three"]["cuts"][0]["why"] == f"stopped by {number.name}"
    assert gone(int(text_of(file).rstrip(".")))


# --- what each part makes of its commands -----------------------------------------------------


def answer(monkeypatch, texts, codes=()):
    """Every command says the next of these texts instead of being run."""
    said = iter(texts)
    ends = iter([*codes, *[0] * 100])

    def run(session, result, commands, jobs=1):
        found = {}
        for each in commands:
            path = session.files / f"{each.stem}.out"
            path.write_text(text if isinstance(text := next(said), str) else json.dumps(text))
            if "--out" in each.words:
                name = each.words[each.words.index("--out") + 1]
                (session.files / name).write_text(path.read_text())
            found[each.name] = gpu.Ended(next(ends), 1.0, "", path, path)
        return found

    monkeypatch.setattr(gpu.Session, "run", run)


LISTED = {
    "relaxation": [{"name": "mine", "distribution": gpu.OWN}],
    "estimator": [
        {"name": "rloo", "distribution": gpu.OWN},
        {"name": "arm", "distribution": gpu.OWN},
        {"name": "theirs", "distribution": "other"},
    ],
    "benchmark": [],
}


def laws(name, outcome="pass"):
    found = {"subject": f"{name}()", "check": "a_law", "outcome": outcome, "reason": "0.1 is not 0"}
    return {"name": name, "counts": {outcome: 1}, "results": [{**found, "seconds": 1.0}]}


def test_broken_laws_are_named(session, monkeypatch):
    answer(monkeypatch, [LISTED, laws("mine"), laws("rloo", "fail"), "error: no such thing"])
    session.sizes = gpu.Sizes()
    result = gpu.Result("checks", "Conformance")
    gpu.work_checks(session, result)
    assert [row["name"] for row in result.figures["rows"]] == ["mine", "rloo"]  # not arm
    assert result.failures == [
        {"what": "rloo: a_law of rloo()", "why": "0.1 is not 0"},
        {"what": "relaxit check theirs", "why": "error: no such thing"},
    ]


def contender(name, median, **over):
    seconds = None if median is None else {"median": median, "lower": median, "upper": median}
    row = {"name": name, "peer": "", "compiled": False, "outcome": "done", "reason": ""}
    row |= {"seconds": seconds, "ratio": 1.0, "floors": 2.0, "memory_bytes": 2**20}
    return {**row, "first_seconds": 0.5, **over}


def benchmark(*rows, **options):
    document = {"name": "draws", "summary": "", "options": options, "reference": "plain"}
    return {**document, "rounds": 3, "floor": {"seconds": 1e-4}, "reason": "", "contenders": rows}


def test_benchmarks_are_condensed(session, monkeypatch):
    rows = [
        contender("plain", 4e-3, peer="torch"),
        contender("other compiled", 2e-3, peer="torch", compiled=True),
        contender("ours", 1e-3),
        contender("bad", None, outcome="failed", reason="it broke"),
        contender("absent", None, outcome="skipped", reason="not installed"),
    ]
    answer(monkeypatch, [{"benchmarks": [benchmark(*rows, batch=3, data_dir="/private")]}])
    result = gpu.Result("sampling", "Sampling")
    gpu.work_benchmarks(session, result, [gpu.relaxit("bench x", "bench")])
    assert result.failures == [{"what": "draws: bad", "why": "it broke"}]
    (table,) = result.figures["tables"]
    assert table["compiled"] == "other compiled"
    assert [row["to_compiled"] for row in table["rows"]] == [2.0, 1.0, 0.5, None, None]
    lines = "\n".join(gpu.show_benchmarks(result.figures))
    assert "/private" not in lines
    assert "- first calls: other compiled 0.5 s" in lines
    assert "- skipped: absent: not installed" in lines
    assert "/ comp.: to other compiled; lower bound 0.1 ms." in lines
    assert re.search(r"^\| ours +\| +1 \| +1 \| +0.5 \| +2 \| +1 \|$", lines, re.M)


def test_training_is_in_seconds_of_an_epoch():
    found = gpu.condense(benchmark(contender("tutorial", 0.5), steps=100))
    assert "| tutorial |       3 |" in "\n".join(gpu.show_benchmark(found))
    steps = gpu.Result("training", "", figures={"tables": [found]})
    assert gpu.seconds_by_name(steps) == {"tutorial": 3.0}
    rows = [
        {"seconds": s, "test_elbo_discrete": -e} for s, e in ((9.0, 120), (1.0, 110), (2.0, 105))
    ]
    assert gpu.figures_of(rows, 3.0) == {
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
    return {
        "study": {"recipe": {"epochs": 160}},
        "cells": [{"way": "ensemble", "seconds": seconds, "rows": rows}],
        "comparisons": [comparison],
        "foot": ["A sentence."],
    }


def test_a_try_says_how_many_epochs_fit(session, monkeypatch):
    asked = []
    monkeypatch.setattr(
        gpu, "relaxit", lambda name, *words, **env: asked.append(words) or gpu.Command(name, words)
    )
    answer(monkeypatch, [cell(gpu.TRY, 4.0), cell(20, 40.0, "off")])
    session.sizes, session.data_dir, session.end = gpu.Sizes(), Path("data"), time.monotonic() + 60
    result = gpu.Result("reproduce", "A stored study")
    gpu.work_reproduce(session, result)
    first, second = (words[words.index("--epochs") + 1] for words in asked)
    assert first == gpu.TRY
    assert 20 <= second <= 24  # 0.8 of 55 seconds at 2 seconds an epoch, and a start of less than 4
    assert result.figures["epochs"] == 20
    what = "estimators-mnist, 8x4, st-gumbel, epoch 1, test"
    assert result.failures == [{"what": what, "why": "off: z -7"}]
    assert "1 ± 0.1 | 2 ± 0.1 | -7 | off" in re.sub(
        " +", " ", "\n".join(gpu.show_reproduce(result.figures))
    )


def test_epochs_that_fit():
    assert gpu.fitting(left=100, start=10, seconds=7) == 10
    assert gpu.fitting(left=1, start=10, seconds=7) < 0


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
    monkeypatch.setattr(gpu, "ROOT", root)
    session.env["PYTHONPATH"] = str(SCRIPT.parent)
    session.end = time.monotonic() + 60
    result = gpu.Result("tests", "GPU tests")
    gpu.work_tests(session, result)
    assert not result.cuts
    # A file that cannot be read ends pytest before its tests; what it says stands there.
    assert [each["what"] for each in result.failures] == ["tests/test_torn.py", "pytest"]
    (root / "tests" / "test_torn.py").unlink()
    (session.files / "tests.jsonl").unlink()
    result = gpu.Result("tests", "GPU tests")
    gpu.work_tests(session, result)
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
    monkeypatch.setattr(gpu, "version_of", lambda name: "not installed")
    monkeypatch.setenv("RELAXIT_EPOCHS", "3")  # of the user, and not of these figures
    env = gpu.environment(tmp_path, None, dry=True)
    assert "RELAXIT_EPOCHS" not in env
    places = env["PYTHONPATH"].split(os.pathsep)
    assert {str(ROOT), str(ROOT / "relaxit" / "launcher")} <= set(places)
    found = metadata.distributions(path=[str(tmp_path / "metadata")])
    points = {p.name: p.value for each in found for p in each.entry_points}
    assert points["categorical"] == "relaxit.categorical"
    for name in ("subset", "permutation"):
        assert points[name] == f"relaxit_{name}"
        assert str(ROOT / "plugins" / f"relaxit-{name}" / "src") in places


def start(*words, **env):
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, words)],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_cuda_device_it_ends_in_one_line(tmp_path):
    done = start("--out", tmp_path / "out", CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "error: there is no CUDA device here; --dry tries it on the CPU\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--minutes", "0"], "--minutes must be above 0"),
        (["--minutes", "nan"], "--minutes must be above 0"),
        (["--parts", "tests,nonsense"], "unknown: nonsense"),
        (["--data-dir", "nowhere"], "has no folder MNIST: nowhere"),
    ],
)
def test_usage(words, said, capsys):
    with pytest.raises(SystemExit) as end:
        gpu.main(["--out", "out", *words])
    assert end.value.code == 2
    assert said in capsys.readouterr().err


# --- the page ---------------------------------------------------------------------------------


def test_tables_fit():
    text = gpu.table(["", "ms"], [["a" * 200, "1"], ["b|c", "22"]])
    assert {len(line) for line in text.splitlines()} == {80}
    assert "b/c" in text
    assert gpu.table(["", "x", "y"], [["a", "-", "1"]], drop_empty=True).count("|") == 9
    assert gpu.table(["", "x"], []) == ""


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
    assert gpu.number(value) == text


def test_the_widest_table_there_is_has_room_for_names():
    names = ["RelaxedOneHotCategorical", "relaxit compile bfloat16", "log form, 100 iterations"]
    numbers = [gpu.number(0.0123456)] * 5
    heads = ["", "ms", "ratio", "/ comp.", "floors", "MiB"]
    assert "..." not in gpu.table(heads, [[name, *numbers] for name in names])


def test_infinity_is_no_json(session):
    session.facts["x"] = [float("inf"), {1: float("nan")}]
    assert session.document()["facts"]["x"] == [None, {"1": None}]


# --- all of it --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_dry_run(tmp_path):
    before = {name: (ROOT / name).exists() for name in ("runs", "reproductions", "gpu-check-files")}
    done = start("--dry", "--out", tmp_path, "--minutes", 14)
    document, parts, page = left_by(tmp_path)
    assert done.returncode == 0, [each["failures"] + each["cuts"] for each in parts.values()]
    assert list(parts) == [each.name for each in gpu.PARTS]
    assert {each["outcome"] for each in parts.values()} == {"passed"}
    assert document["dry"]
    assert page == gpu.page(document)
    assert {name: (ROOT / name).exists() for name in before} == before

    figures = {name: each["figures"] for name, each in parts.items()}
    assert figures["machine"]["facts"]["Python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"subset", "permutation"} <= set(figures["machine"]["registered"]["relaxation"])
    counts = figures["tests"]["counts"]
    assert counts["passed" if counts.get("passed") else "skipped"] > 100
    assert [row["pass"] > 0 for row in figures["checks"]["rows"]] == [True, True]
    for name, tables in (("sampling", 4), ("training", 1), ("structures", 1)):
        assert len(figures[name]["tables"]) == tables
        for table in figures[name]["tables"]:
            assert any(row["ratio"] and row["memory_bytes"] is not None for row in table["rows"])
            assert f"### {table['name']}: " in page
    assert [(row["engine"], row["precision"]) for row in figures["epochs"]["rows"]] == [
        ("eager", "float32"),
        ("eager", "bfloat16"),
    ]
    for row in figures["epochs"]["rows"]:
        assert row["epochs"] == 2
        assert f"{row['test_elbo']:.2f}" in page
    (comparison,) = figures["reproduce"]["comparisons"]
    assert comparison["verdict"] == "agrees"
    assert set(parts["reproduce"]["documents"]) == {"reproduce"}
