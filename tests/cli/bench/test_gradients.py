"""``relaxit bench gradients`` as a person and as a program meet it."""

import json

import pytest

import relaxit
from relaxit.cli.app import run
from relaxit.gradients import GradientProblem
from tests.gradients import subjects
from tests.gradients.subjects import Failing, Score, Tiny, Undefined, UndefinedCold

QUICK = ["--draws", "20", "--warm-up", "2", "--device", "cpu"]


class Broken(GradientProblem):
    """It fails before its first case, or after it."""

    api, name, summary = 1, "test-broken", "a mistake of its own, or an error of ours"

    class Options(relaxit.Options):
        after: int = 0
        unsupported: bool = False

    def cases(self, around):
        yield from list(Tiny().cases(around))[: self.options.after]
        raise relaxit.Unsupported("not this") if self.options.unsupported else KeyError("gone")


@pytest.fixture
def tiny():
    classes = (Tiny, Score, Failing, Undefined, UndefinedCold, Broken)
    for cls in classes:
        relaxit.register(cls)
    yield "test-tiny"
    for cls in classes:
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
    from relaxit.plugins.registry import default_registry

    return default_registry().items("estimator")


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


def test_estimates_that_are_not_finite_are_no_figures(tiny, tmp_path, capsys):
    assert bench(tiny, "--estimators", "test-undefined,straight-through", *QUICK) == 5
    lines = capsys.readouterr().out.splitlines()
    assert "  test-undefined: failed: 3 of 9 estimates are not finite" in [
        line.replace(" at 1:", ":") for line in lines
    ]
    flags = ["--json", "--out", "found.json", "--plot", "found.png"]
    assert bench(tiny, "--estimators", "test-undefined", *QUICK, *flags) == 5
    out = capsys.readouterr().out
    found = json.loads(out, parse_constant=pytest.fail)["problems"][0]["estimators"][0]
    assert found["outcome"] == "failed"
    assert "bias" not in found
    json.loads((tmp_path / "found.json").read_text(), parse_constant=pytest.fail)


def test_json_has_null_for_what_is_no_number(tiny, monkeypatch, capsys):
    monkeypatch.setattr(subjects, "linear", lambda z: 1e200 * z[..., 0].sum(-1))
    assert bench(tiny, "--estimators", "straight-through", *QUICK, "--json") == 5
    first, _ = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)["problems"]
    assert first["gradient_norm"] is None
    assert first["estimators"][0]["reason"] == "the estimates are too large to be squared"


@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_problem_that_fails_says_why(tiny, after, flags, capsys):
    arguments = ["--problem-option", f"after={after}", "--estimators", "straight-through"]
    assert bench("test-broken", *arguments, *QUICK, *flags) == 5
    out, err = capsys.readouterr()
    assert "test-broken: failed: KeyError: 'gone'" in (err if flags else out).splitlines()


def test_what_is_unsupported_after_figures_is_shown(tiny, capsys):
    arguments = ["--problem-option", "after=1", "--problem-option", "unsupported=true"]
    estimators = ["--estimators", "straight-through"]
    assert bench("test-broken", *arguments, *estimators, *QUICK) == 0
    assert "test-broken: not supported: not this" in capsys.readouterr().out.splitlines()


def test_missing_data_have_the_code_they_have_elsewhere(tmp_path, capsys):
    arguments = ["--estimators", "st-gumbel", "--data-dir", str(tmp_path)]
    assert bench("vae-cost", *arguments, *QUICK) == 4
    (line,) = [e for e in capsys.readouterr().err.splitlines() if e.startswith("error")]
    assert line.startswith("error: vae-cost: ")


def test_figures_are_whole_at_80_columns(tiny, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    flags = ["--temperature", "0.123", "--temperature", "1e-3"]
    names = ["decoupled-st-gumbel", "st-gumbel", "rloo", "test-score"]
    assert bench(tiny, "--estimators", ",".join(names), *QUICK, *flags) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in lines if line.strip().startswith(tuple(names))]
    assert len(rows) == 2 * (2 * 2 + 2)
    assert {len(row) for row in rows} == {9, 11}  # the latter with "2 (says 1)"
    assert {row[-1] for row in rows} == {"draws"}
    assert {row[1] for row in rows} == {"0.123", "0.001", "-"}
    places = [n for n, line in enumerate(lines) if line.split() in rows]
    assert places[5] - places[0] == 5  # nothing stands between rows
    assert max(len(lines[place]) for place in places) <= 80


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--draws", "0"], "error: --draws must be at least 2, got 0"),
        (["--states", "0"], "error: --states must be at least 1, got 0"),
        (["--temperature", "0"], "error: --temperature must be greater than 0, got 0.0"),
        (["--warm-up", "-1"], "error: --warm-up must be at least 0, got -1"),
        (["powes"], "error: unknown problem 'powes'. Did you mean powers?"),
        (["--estimators", "st-gumble"],
         "error: unknown estimator 'st-gumble'. Did you mean st-gumbel"),
        (["--estimators", ","], "error: --estimators must name at least one, got none"),
        (["--relaxation", "catgorical"], "error: unknown relaxation 'catgorical'."),
        (["-o", "categories=3"], "error: -o KEY=VALUE belongs to --relaxation, which is not given"),
        (["--out", "nowhere/x.json"],
         "error: --out nowhere/x.json must be a file in an existing directory"),
        (["--plot", "nowhere/x.png"],
         "error: --plot nowhere/x.png must be a file in an existing directory"),
        (["powers", "--estimators", "exact", "--plot", "x.jpg"],
         "error: --plot x.jpg must end in .png, .pdf, .svg"),
        (["powers", "--problem-option", "x=1"], "error: powers has no option x; it has: points"),
        (["powers", "--states", "4", "--estimators", "st-gumbel"],
         "error: powers: Categorical(categories=5) ** 1 has 5 joint values, more than --states"),
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


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_ctrl_c_keeps_the_problems_that_are_done(tiny, flags, monkeypatch, tmp_path, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Broken, "cases", interrupted)
    files = ["--out", "found.json", "--plot", "found.png"]
    arguments = ["--estimators", "straight-through", *QUICK, *files, *flags]
    assert bench(tiny, "test-broken", *arguments) == 130
    out, err = capsys.readouterr()
    assert err.splitlines()[-1] == "error: stopped"
    document = json.loads((tmp_path / "found.json").read_text())
    assert document["stopped"] is True
    assert [each["case"] for each in document["problems"]] == ["linear", "quadratic"]
    assert json.loads(out) == document if flags else "test-tiny, quadratic" in out
    assert (tmp_path / "found.png").exists()


def test_problems_are_listed_and_shown(tiny, capsys):
    assert run(["list", "--json"]) == 0
    listed = {each["name"] for each in json.loads(capsys.readouterr().out)["problem"]}
    assert {"powers", "polynomial-cost", "vae-cost", tiny} <= listed
    assert run(["show", "polynomial-cost", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["kind"] == "problem"
    assert [option["name"] for option in shown["options"]] == ["bits", "target"]
