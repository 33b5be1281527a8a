"""What each part of ``.ci/gpu_check`` makes of the output of its commands."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

from tests.ci.gpu_check import (
    OWN,
    SCRIPT,
    Command,
    Ended,
    Result,
    Session,
    benchmarks,
    checks,
    study,
    suite,
    training,
)


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
    session.env["PYTHONPATH"] = str(SCRIPT.parent)
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
