"""The times of ``relaxit bench gradients``: one table of ratios, and the seconds as JSON."""

import itertools
import json

import pytest

import relaxit
from relaxit.bench.measuring import clock
from relaxit.cli.app import run
from relaxit.gradients import GradientProblem
from tests.gradients.subjects import Failing, Rejecting, Score, Tiny

QUICK = ["--device", "cpu", "--seconds", "0", "--problem-option", "entries=24"]
NAMES = "straight-through,rloo,reinforce,test-rejecting"


class Unfit(GradientProblem):
    """It accepts no relaxation, whatever its options."""

    api, name, summary = 1, "test-unfit", "it cannot be set up"

    class Options(relaxit.Options):
        entries: int = 1

    def cases(self, around):
        raise relaxit.Unsupported("not this")


@pytest.fixture(autouse=True)
def registered():
    classes = (Failing, Rejecting, Score, Tiny, Unfit)
    for cls in classes:
        relaxit.register(cls)
    yield
    for cls in classes:
        relaxit.unregister(cls)


def bench(*arguments):
    return run(["bench", "gradients", *arguments])


def rows_of(out):
    """Cells of the rows by estimator, which is all before the first gap of two spaces."""
    lines = (line.strip() for line in out.splitlines() if line.startswith("  "))
    cells = ([cell.strip() for cell in line.split("  ") if cell] for line in lines)
    return {first: rest for first, *rest in cells if rest}


def test_a_table_of_ratios(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    assert bench("estimator-time", "--estimators", f"{NAMES},arm", *QUICK) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("estimator-time: one estimate") for line in lines)
    rows = rows_of(out)
    # Headings are wrapped at spaces: no word is broken.
    assert {"categories=10", "categories=512", "categories=32000"} <= set(out.split())
    assert rows["st-gumbel"] == ["1.0"] * 4
    assert {len(rows[name]) for name in ("straight-through", "rloo", "reinforce (warm)")} == {4}
    assert rows["arm"][:3] == ["-"] * 3
    assert rows["arm"][3] != "-"
    assert rows["test-rejecting"] == ["-"] * 4
    assert "  test-rejecting: not supported: it needs what nobody has" in lines
    assert sum(line.startswith("  test-rejecting: ") for line in lines) == 1  # not for each column
    assert "exact" not in rows  # only what is listed, and the reference
    assert "  categorical categories=10: st-gumbel" in out
    assert "estimator-time, binary 64 variables" in err.splitlines()


def test_json_has_seconds_ratios_and_reasons(tmp_path, capsys):
    flags = ["--threads", "1", "--json", "--out", "found.json"]
    assert bench("estimator-time", "--estimators", NAMES, *QUICK, *flags) == 0
    document = json.loads(capsys.readouterr().out)
    assert json.loads((tmp_path / "found.json").read_text()) == document
    assert (document["threads"], document["problems"], len(document["times"])) == (1, [], 4)
    for report in document["times"]:
        assert (report["name"], report["reference"], report["reason"]) == (
            "estimator-time", "st-gumbel", "",
        )  # fmt: skip
        found = {each["name"]: each for each in report["implementations"]}
        assert set(found) == {
            "st-gumbel", "straight-through", "rloo", "reinforce", "reinforce (warm)",
            "test-rejecting",
        }  # fmt: skip
        rejected = found.pop("test-rejecting")
        assert (rejected["outcome"], rejected["seconds"]) == ("skipped", None)
        for each in found.values():
            spread = each["seconds"]
            assert 0 < spread["lower"] <= spread["median"] <= spread["upper"]
            assert each["ratio"] > 0
            assert each["memory_bytes"] > 0
        assert found["st-gumbel"]["ratio"] == 1
    assert document["times"][0]["options"]["entries"] == 24


def test_every_registered_estimator_has_a_ratio_or_a_reason(capsys):
    flags = ["--relaxation", "categorical", "-o", "categories=3", "--json"]
    relaxit.unregister(Failing)
    assert bench("estimator-time", *QUICK, *flags) == 0
    relaxit.register(Failing)
    (report,) = json.loads(capsys.readouterr().out)["times"]
    found = {each["name"]: each for each in report["implementations"]}
    assert run(["list", "--json"]) == 0
    listed = {each["name"] for each in json.loads(capsys.readouterr().out)["estimator"]}
    assert {name.removesuffix(" (warm)") for name in found} == listed - {"test-failing"}
    assert all(bool(each["ratio"]) != bool(each["reason"]) for each in found.values())


def test_one_thread_is_timed_by_its_own_clock(monkeypatch, capsys):
    ticks = itertools.count()
    monkeypatch.setattr(clock.time, "thread_time", lambda: float(next(ticks)))
    flags = ["--relaxation", "binary", "--threads", "1", "--estimators", "rloo", "--json"]
    assert bench("estimator-time", *QUICK, *flags) == 0
    (report,) = json.loads(capsys.readouterr().out)["times"]
    assert [each["ratio"] for each in report["implementations"]] == [1.0, 1.0]
    assert [each["seconds"]["median"] for each in report["implementations"]] == [1.0, 1.0]


def test_aliases_name_estimators_with_and_without_state(capsys):
    flags = ["--relaxation", "binary", "--estimators", "score-function", "--json"]
    assert bench("estimator-time", *QUICK, *flags) == 0
    (report,) = json.loads(capsys.readouterr().out)["times"]
    assert {each["name"] for each in report["implementations"]} == {
        "reinforce", "reinforce (warm)", "st-gumbel",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("names", "problems", "times"),
    [
        (["powers"], 6, 0),
        (["estimator-time"], 0, 1),
        (["powers", "estimator-time"], 6, 1),
    ],
)
def test_what_is_named_is_measured(names, problems, times, capsys):
    flags = ["--relaxation", "binary", "--estimators", "straight-through", "--json"]
    assert bench(*names, "--device", "cpu", "--seconds", "0", "--draws", "2", *flags) == 0
    document = json.loads(capsys.readouterr().out)
    assert (len(document["problems"]), len(document["times"])) == (problems, times)


def test_without_a_name_there_are_problems_and_times(tmp_path, capsys):
    # No problem takes longer: the autoencoder has no data here, and the subsets are no bits.
    flags = ["--relaxation", "binary", "--estimators", "straight-through", "--json"]
    missing = ["--data-dir", str(tmp_path)]
    assert bench("--device", "cpu", "--seconds", "0", "--draws", "2", *flags, *missing) == 0
    document = json.loads(capsys.readouterr().out)
    assert {"powers", "polynomial-cost"} <= {each["name"] for each in document["problems"]}
    assert [each["name"] for each in document["times"]] == ["estimator-time"]


def test_a_failure_has_a_code_of_its_own_and_stops_nothing(capsys):
    flags = ["--relaxation", "binary", "--estimators", "test-failing,rloo"]
    assert bench("estimator-time", *QUICK, *flags) == 5
    out = capsys.readouterr().out
    assert rows_of(out)["test-failing"] == ["failed"]
    assert "rloo" in rows_of(out)
    assert "  test-failing: failed: RuntimeError: two lines" in out.splitlines()


def test_a_problem_that_cannot_be_set_up_does_not_hide_the_times(capsys):
    flags = ["--relaxation", "binary", "--estimators", "rloo"]
    assert bench("test-unfit", "estimator-time", *QUICK, *flags) == 0
    out = capsys.readouterr().out
    assert "test-unfit: not supported: not this" in out.splitlines()
    assert "rloo" in rows_of(out)


def test_its_benchmark_is_also_one_of_the_others(capsys):
    flags = ["-o", "entries=24", "--only", "st-gumbel", "--only", "rloo", "--rounds", "2"]
    arguments = ["bench", "structures", "estimator-time", *flags, "--device", "cpu", "--json"]
    assert run(arguments) == 0
    assert len(json.loads(capsys.readouterr().out)["benchmarks"]) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["estimator-tim"], "error: unknown problem 'estimator-tim'. Did you mean estimator-time"),
        (["estimator-time", "--seconds", "-1"], "error: --seconds"),
        (["estimator-time", "--threads", "0"], "error: --threads must be from 1 to "),
        (["estimator-time", "--plot", "x.png"],
         "error: --plot draws bias and variance; name a gradient problem as well"),
        (["estimator-time", "--problem-option", "entries=0"],
         "error: estimator-time: --problem-option entries must be at least 1, got 0"),
        (["estimator-time", "--problem-option", "x=0"], "error: estimator-time has no option x"),
        (["estimator-time", "--relaxation", "binary", "-o", "x=1"], "error: binary has no option"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(arguments, message, capsys):
    assert bench(*arguments, "--device", "cpu") == 2
    (line,) = [e for e in capsys.readouterr().err.splitlines() if e.startswith("error")]
    assert line.startswith(message)


def test_ctrl_c(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Score, "surrogate", interrupted)
    flags = ["--relaxation", "binary", "--estimators", "test-score"]
    assert bench("estimator-time", *QUICK, *flags) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "error: stopped"
