"""``relaxit bench gradients`` as a person and as a program meet it."""

import json
import os

import pytest

import relaxit
from relaxit.cli.app import run
from tests.gradients.subjects import Failing, Score, Tiny

QUICK = ["--draws", "20", "--warm-up", "2", "--device", "cpu"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Each test in an empty folder, with a wide terminal and none of the user's environment."""
    for key in [key for key in os.environ if key.startswith("RELAXIT_")]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def tiny():
    for cls in (Tiny, Score, Failing):
        relaxit.register(cls)
    yield "test-tiny"
    for cls in (Tiny, Score, Failing):
        relaxit.unregister(cls)


def bench(*arguments):
    return run(["bench", "gradients", *arguments])


def test_a_table(tiny, capsys):
    assert bench(tiny, "--estimators", "straight-through,test-score", *QUICK) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].startswith("device cpu (")
    assert lines[1] == "test-tiny, linear"
    assert lines.index("test-tiny, linear") < lines.index("test-tiny, quadratic")
    rows = [line.split() for line in lines if line.split()[:1] == ["straight-through"]]
    assert rows[0] == ["straight-through", "0", "0", "0", "1.000", "1.00", "1", "all"]
    score = next(line.split() for line in lines if line.split()[:1] == ["test-score"])
    assert score[-4:] == ["2", "(says", "1)", "draws"]
    assert "2 variables of Categorical(categories=3), 1 point; |exact gradient|" in out
    assert "test-tiny, linear: exact gradient" in err.splitlines()


def test_json_is_alone_on_stdout_and_in_the_file(tiny, tmp_path, capsys):
    flags = ["--json", "--out", "found.json", "--plot", "found.png"]
    estimators = "straight-through,disarm" if "disarm" in relaxit_names() else "straight-through"
    assert bench(tiny, "--estimators", estimators, *QUICK, *flags) == 0
    document = json.loads(capsys.readouterr().out)
    assert json.loads((tmp_path / "found.json").read_text()) == document
    assert {"device", "threads", "torch", "date", "platform"} <= set(document)
    assert document["settings"] == {
        "temperatures": [1.0], "states": 4096, "draws": 20, "warm_up": 2, "seed": 0,
    }  # fmt: skip
    first, second = document["problems"]
    assert (first["case"], second["case"]) == ("linear", "quadratic")
    assert first["estimators"][0]["evidence"] == "exact"
    assert (tmp_path / "found.png").read_bytes()[1:4] == b"PNG"


def relaxit_names():
    from relaxit.registry import default

    return default().items("estimator")


def test_several_temperatures(tiny, capsys):
    flags = ["--temperature", "0.5", "--temperature", "2", "--json"]
    assert bench(tiny, "--estimators", "st-gumbel", *QUICK, *flags) == 0
    document = json.loads(capsys.readouterr().out)
    assert {e["temperature"] for e in document["problems"][0]["estimators"]} == {0.5, 2.0}


def test_another_structure(capsys):
    flags = ["--relaxation", "binary", "--estimators", "straight-through", "--json"]
    assert bench("powers", "--problem-option", "points=1", *flags, *QUICK) == 0
    document = json.loads(capsys.readouterr().out)
    assert [each["states"] for each in document["problems"]] == [2, 2, 2, 4, 4, 4]
    assert {each["relaxation"]["name"] for each in document["problems"]} == {"binary"}


def test_a_failure_has_a_code_of_its_own(tiny, capsys):
    assert bench(tiny, "--estimators", "test-failing,test-score", *QUICK) == 5
    out = capsys.readouterr().out
    assert "  test-failing: failed: RuntimeError: two lines" in out.splitlines()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--draws", "0"], "error: --draws: Input should be greater than or equal to 2 (got 0)"),
        (["--states", "0"], "error: --states: Input should be greater than or equal to 1 (got 0)"),
        (["--temperature", "0"], "error: --temperature: Input should be greater than 0 (got 0.0)"),
        (["--warm-up", "-1"],
         "error: --warm-up: Input should be greater than or equal to 0 (got -1)"),
        (["powes"], "error: unknown problem 'powes'. Did you mean powers?"),
        (["--estimators", "st-gumble"],
         "error: unknown estimator 'st-gumble'. Did you mean st-gumbel"),
        (["--estimators", ","], "error: --estimators must name at least one, got none"),
        (["--relaxation", "catgorical"], "error: unknown relaxation 'catgorical'."),
        (["-o", "categories=3"], "error: -o KEY=VALUE is of a --relaxation, and none is given"),
        (["--out", "nowhere/x.json"],
         "error: --out nowhere/x.json must be a file in a folder that exists"),
        (["--plot", "nowhere/x.png"],
         "error: --plot nowhere/x.png must be a file in a folder that exists"),
        (["powers", "--problem-option", "x=1"],
         "error: problem 'powers': x: Extra inputs are not permitted"),
        (["powers", "--states", "4", "--estimators", "st-gumbel"],
         "error: powers: 5 joint values of Categorical(categories=5) ** 1 are more than --states"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(arguments, message, capsys):
    assert bench(*arguments, "--device", "cpu") == 2
    (line,) = [e for e in capsys.readouterr().err.splitlines() if e.startswith("error")]
    assert line.startswith(message)


def test_ctrl_c(tiny, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Score, "surrogate", interrupted)
    assert bench(tiny, "--estimators", "test-score", *QUICK) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "error: stopped"


def test_problems_are_listed_and_shown(tiny, capsys):
    assert run(["list", "--json"]) == 0
    listed = {each["name"] for each in json.loads(capsys.readouterr().out)["problem"]}
    assert {"powers", "polynomial-cost", "vae-cost", tiny} <= listed
    assert run(["show", "polynomial-cost", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["kind"] == "problem"
    assert [option["name"] for option in shown["options"]] == ["bits", "target"]
