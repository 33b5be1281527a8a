"""``relaxit bench`` as a person and as a program meet it. No time is looked at."""

import importlib.util
import itertools
import json
import os
import subprocess
import sys

import pytest
import torch

import relaxit
from relaxit.bench import Implementation
from relaxit.cli.app import run
from tests.bench.implementations import Known

QUICK = ["--rounds", "2", "--seconds", "0", "--device", "cpu"]
SMALL = [word for each in ("batch=64", "latents=3", "categories=4") for word in ("-o", each)]
COMMANDS = ("sampling", "structures", "training", "startup")
SAMPLING = {f"categorical-{kind}" for kind in ("soft", "sample", "straight-through", "hard")}


def absent(baseline: str) -> bool:
    return baseline == "pyro" and importlib.util.find_spec("pyro") is None


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Each test in an empty folder, with a wide terminal and none of the user's environment."""
    for key in [key for key in os.environ if key.startswith("RELAXIT_")]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def known():
    relaxit.register(Known)
    yield "test-known"
    relaxit.unregister(Known)


def test_a_table_says_what_was_measured_on_what(known, capsys):
    assert run(["bench", "structures", known, "-o", "n=500", *QUICK, "--threads", "1"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].startswith("device cpu (")
    assert ", 1 CPU thread on " in lines[0]
    assert f"torch {torch.__version__}, 20" in lines[0]
    assert "test-known: figures that are known (n 500)" in lines
    right = next(line.split() for line in lines if line.split()[:1] == ["right"])
    assert right[3:] == [right[3], "1.00", "1.00", "0.00191", "0.0e+00", "0.0e+00"]
    assert "  2 rounds; ratios to right, the best baseline is right" in lines
    assert "  inputs 0.00191 MiB" in lines
    assert "  absent: skipped: a_baseline_that_nobody_has is not installed" in lines
    assert any(line.startswith("  raises: failed: RuntimeError: ") for line in lines)
    assert err == ""


def test_json_is_alone_on_stdout_and_in_the_file(known, tmp_path, capsys):
    arguments = ["bench", "structures", known, *QUICK, "--json", "--out", "found.json"]
    assert run(arguments) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert err == ""
    assert json.loads((tmp_path / "found.json").read_text()) == document
    assert {"device", "threads", "torch", "date", "platform"} <= set(document)
    assert document["settings"]["rounds"] == 2
    (found,) = document["benchmarks"]
    assert (found["name"], found["structure"]) == (known, "test-structure")
    assert found["implementations"][0]["error"] == {
        "absolute": 0.5,
        "relative": 0.5,
        "not_finite": 0,
    }
    assert found["implementations"][4]["outcome"] == "skipped"


def test_all_of_them_run_without_a_name(known, capsys):
    # Sizes of their own would take minutes: only the implementations of one take part.
    assert run(["bench", "structures", "--only", "right", "--only", "off", *QUICK, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["benchmarks"]
    assert [each["name"] for each in found["implementations"]] == ["off", "right"]


def test_the_builtin_ones_run(capsys):
    assert run(["bench", "sampling", *SMALL, *QUICK, "--no-compile", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    found = {each["name"]: each for each in document["benchmarks"]}
    assert set(found) == SAMPLING
    assert len(document["benchmarks"]) == len(SAMPLING)  # with all sizes given one run is left
    assert document["rates"]["random_numbers"] > 0
    for benchmark in found.values():
        assert benchmark["lower_bound"]["seconds"] > 0
        for each in benchmark["implementations"]:
            left_out = each["compiled"] or absent(each["baseline"])
            assert each["outcome"] == ("skipped" if left_out else "done"), each
            assert left_out or (each["memory_bytes"] > 0 < each["times_lower_bound"])
    for each in found["categorical-hard"]["implementations"]:  # four standard deviations of a mean
        assert each["compiled"] or each["error"]["absolute"] < 4 * 0.5 / 64**0.5


@pytest.mark.slow
def test_the_builtin_ones_compile(capsys):
    arguments = ["bench", "sampling", "categorical-straight-through", *SMALL, *QUICK, "--json"]
    assert run([*arguments, "--against", "relaxit"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["benchmarks"]
    assert [each["compiled"] for each in found["implementations"]] == [False, True]
    outcomes = {(each["outcome"], each["reason"][:30]) for each in found["implementations"]}
    assert outcomes <= {("done", ""), ("skipped", "torch.compile does not work he")}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("test-knwn", "Did you mean test-known?"),
        ("test-known -o m=3", "m: Extra inputs are not permitted"),
        ("test-known -o n=0", "option n"),
        ("test-known -o n", "KEY=VALUE"),
        ("test-known --device cuda:99", "--device auto"),
        ("test-known --rounds 0", "--rounds"),
        ("test-known --seconds nan", "--seconds"),
        ("test-known --seconds -1", "--seconds"),
        ("test-known --threads 0", "--threads"),
        ("test-known --threads 1000000", "--threads"),
        ("test-known --against tourch", "Did you mean torch?"),
        ("test-known --against tourch", "Known: relaxit, torch."),
        ("test-known --only rihgt", "Did you mean right?"),
        ("test-known --out nowhere/file.json", "--out"),
        ("test-known --out .", "--out"),
        ("--plugin absent.py", "absent.py"),
    ],
)
def test_bad_arguments_are_one_line(known, capsys, arguments, said):
    code = run(["bench", "structures", *arguments.split()])
    out, err = capsys.readouterr()
    assert code == (5 if "--plugin" in arguments else 2)
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert out == ""  # nothing was begun


def test_a_benchmark_that_gives_no_figure_is_a_failure(capsys):
    class Wrong(Known):
        api, name = 1, "test-wrong"

        def oracle(self, device):
            raise ValueError("there is no answer")

    relaxit.register(Wrong)
    try:
        assert run(["bench", "structures", "test-wrong", *QUICK]) == 5
    finally:
        relaxit.unregister(Wrong)
    assert "failed: ValueError: there is no answer" in capsys.readouterr().out


class Stops(Known):
    """Ctrl-C comes at one of its calls."""

    api, name = 1, "test-stops"
    at: int

    def implementations(self, device):
        calls = itertools.count(1)

        def call():
            if next(calls) == self.at:
                raise KeyboardInterrupt
            return torch.ones(3)

        return [Implementation("stops", lambda: call)]

    def oracle(self, device):
        return None


# A first call, three to warm up, one for memory, then rounds.
@pytest.mark.parametrize(("at", "rounds"), [(1, None), (6, None), (8, 2)])
@pytest.mark.parametrize("quiet", [True, False])
def test_ctrl_c_leaves_what_is_done(known, capsys, tmp_path, monkeypatch, at, rounds, quiet):
    monkeypatch.setattr(Stops, "at", at, raising=False)
    relaxit.register(Stops)
    arguments = ["bench", "structures", known, "test-stops", "--seconds", "0", "--rounds", "9"]
    try:
        assert run([*arguments, "--out", "found.json", *["--json"] * quiet]) == 130
    finally:
        relaxit.unregister(Stops)
    out, err = capsys.readouterr()
    assert err.strip().splitlines()[-1] == "error: stopped"
    document = json.loads((tmp_path / "found.json").read_text())
    assert document["stopped"] is True
    found = {each["name"]: each["rounds"] for each in document["benchmarks"]}
    assert found == ({known: 3} if rounds is None else {known: 3, "test-stops": rounds})
    assert json.loads(out) == document if quiet else all(f"{name}: " in out for name in found)


# --- groups, presets and baselines ----------------------------------------------------------------


class Several(Known):
    """Another kind of work, at three sizes, of which two may become one."""

    api, name, group = 1, "test-several", "sampling"
    presets = ({"n": 3}, {}, {"n": 5})


@pytest.fixture
def several():
    relaxit.register(Several)
    yield "test-several"
    relaxit.unregister(Several)


@pytest.mark.parametrize(
    ("arguments", "runs"),
    [
        ("sampling --only off", [("test-several", n) for n in (3, 1000, 5)]),
        ("structures --only off", [("test-known", 1000)]),
        ("structures test-several", [("test-several", n) for n in (3, 1000, 5)]),  # by its name
        ("sampling test-several -o n=7", [("test-several", 7)]),
        ("sampling test-known test-several -o n=7", [("test-known", 7), ("test-several", 7)]),
    ],
)
def test_a_command_runs_its_group_at_every_size(known, several, capsys, arguments, runs):
    assert run(["bench", *arguments.split(), *QUICK, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["benchmarks"]
    assert [(each["name"], each["options"]["n"]) for each in found] == runs


def test_a_group_without_benchmarks_says_so(monkeypatch, capsys):
    from relaxit.plugins.registry import default_registry

    monkeypatch.setattr(type(default_registry()), "items", lambda *_: {"test-several": Several})
    assert run(["bench", "structures", *QUICK]) == 2
    assert "structures" in (said := capsys.readouterr().err)
    assert "test-several" in said


@pytest.mark.parametrize(
    ("against", "names"),
    [
        ("torch", ["off", "right", "raises", "short", "absent", "refuses"]),
        ("relaxit", ["off", "raises", "short", "absent", "refuses"]),
        ("relaxit,torch", ["off", "right", "raises", "short", "absent", "refuses"]),
    ],
)
def test_baselines_are_chosen(known, capsys, against, names):
    assert run(["bench", "structures", known, "--against", against, *QUICK, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["benchmarks"]
    assert [each["name"] for each in found["implementations"]] == names
    assert found["reference"] == ("right" if "torch" in against else "off")


@pytest.mark.parametrize("implementation", ["refuses", "absent"])
def test_nothing_to_measure_is_an_error_with_the_reason(known, capsys, implementation):
    assert run(["bench", "structures", known, "--only", implementation, *QUICK]) == 2
    assert f"nothing was measured: {implementation}: " in capsys.readouterr().err


def test_only_what_is_left_out_is_an_error(capsys):
    arguments = ["sampling", "categorical-soft", *SMALL, "--only", "relaxit compiled"]
    assert run(["bench", *arguments, "--no-compile", *QUICK]) == 2
    assert "compiled implementations were not requested" in capsys.readouterr().err


# --- lower bounds
# -----------------------------------------------------------------------------------


def test_a_lower_bound_is_shown_with_what_it_is_made_of(capsys):
    arguments = ["sampling", "categorical-hard", *SMALL, "--only", "relaxit", *QUICK]
    assert run(["bench", *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("rates for lower bounds: copies ")
    assert "million random numbers/s" in lines[1]
    head = next(line.split() for line in lines if line.split()[:1] == ["implementation"])
    assert "bounds" in head
    (lower_bound,) = [line for line in lines if line.startswith("  lower bound ")]
    assert " ms: " in lower_bound
    assert "memory " in lower_bound
    assert "random numbers " in lower_bound


def test_without_needs_no_rates_are_measured(known, monkeypatch, capsys):
    from relaxit import bench

    monkeypatch.setattr(bench, "measure_rates", lambda device: 1 / 0)
    assert run(["bench", "structures", known, *QUICK]) == 0
    assert "lower_bound" not in capsys.readouterr().out


# --- training and startup ---------------------------------------------------------------------


@pytest.fixture
def images(tmp_path):
    from relaxit.tasks.vae.benchmarks.random_mnist import write_random

    write_random(tmp_path / "files", train=150, test=10)
    return str(tmp_path / "files")


def test_training_on_given_images(images, capsys, monkeypatch):
    from relaxit.bench.processes import programs

    asked = []
    monkeypatch.setattr(
        programs,
        "run_program",
        lambda program, directory, threads: asked.append((program, threads)) or programs.Run(2.0),
    )
    arguments = [
        "--steps",
        "2",
        "--rounds",
        "1",
        "--only",
        "tutorial",
        "--only",
        "products float32",
    ]
    arguments += ["--data-dir", images, "--total", "4", "--threads", "1", "--device", "cpu"]
    assert run(["bench", "training", *arguments, "--json"]) == 0
    blocks, total = json.loads(capsys.readouterr().out)["benchmarks"]
    assert [each["outcome"] for each in blocks["implementations"]] == ["done", "done"]
    assert (blocks["options"]["steps"], blocks["options"]["images"]) == (2, "MNIST")
    assert list(blocks["lower_bound"]["parts"]) == ["products float32"]
    assert [row["seconds"]["median"] for row in total["rows"]] == [2.0, 2.0]
    assert {threads for _, threads in asked} == {1}
    for program, _ in asked:
        assert program.command[program.command.index("--epochs") + 1] == "4"
        assert images in program.command


def test_training_is_shown_as_seconds_of_an_epoch(images, capsys):
    from relaxit.bench import BenchmarkReport, LowerBound, Measurement, Spread
    from relaxit.cli.bench.training import show
    from relaxit.tasks.vae.benchmarks.training_steps import TrainingSteps

    report = BenchmarkReport(
        TrainingSteps(steps=50, data_dir=images), lower_bound=LowerBound(0.25, {"least": 0.25})
    )
    spread = Spread(0.5, 0.4, 0.75)
    report.measurements = [Measurement("one", "", False, seconds=spread, times_lower_bound=2.0)]
    show(report, steps=50)  # of 600
    lines = capsys.readouterr().out.splitlines()
    assert "(steps 50, images MNIST)" in lines[0]
    assert "s per epoch" in lines[2]
    (row,) = [line.split() for line in lines if line.split()[:1] == ["one"]]
    assert row == ["one", "6", "4.8", "9", "-", "2"]
    assert "  lower bound 3 s per epoch: least 3" in lines


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("training --steps 0", 2, "--steps must be >= 1, got 0"),
        ("training --total 0", 2, "--total must be >= 1, got 0"),
        ("training --rounds 0", 2, "--rounds"),
        ("training --threads 0", 2, "--threads"),
        ("training --out .", 2, "--out"),
        ("training --data-dir nowhere --device cpu", 4, "mnist is not in nowhere"),
        ("training --against pyro --device cpu --data-dir files", 2, "Known: relaxit, tutorial."),
        ("training --only tutrial --device cpu --data-dir files", 2, "Did you mean tutorial?"),
        ("startup --rounds 0", 2, "--rounds"),
        ("startup --only pyton --device cpu", 2, "Did you mean python?"),
        ("startup --device cuda:99", 2, "--device auto"),
    ],
)
def test_bad_arguments_of_the_larger_ones_are_one_line(images, capsys, arguments, code, said):
    assert run(["bench", *arguments.split()]) == code
    err = capsys.readouterr().err
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_startup_runs_what_is_asked(capsys, monkeypatch, tmp_path):
    from relaxit.bench.processes import programs

    def takes(program, directory, threads):
        if program.name == "relaxit list":
            raise programs.ProgramFailed("exit code 1: no list")
        return programs.Run(float(len(program.name)), {"first line": 1.25})

    monkeypatch.setattr(programs, "run_program", takes)
    names = ["python", "import torch", "relaxit list", "relaxit train --epochs 1"]
    only = [word for name in names for word in ("--only", name)]
    assert run(["bench", "startup", *only, "--device", "cpu", "--out", "found.json"]) == 0
    out = capsys.readouterr().out
    rows = {line.strip().partition("  ")[0]: line.split() for line in out.splitlines()}
    assert rows["python"][1:] == ["6.00", "6.00", "6.00", "0.50"]
    assert rows["import torch"][-1] == "1.00"
    assert rows["relaxit list"][2] == "failed"
    assert rows["to first line"][-3:] == ["1.25", "1.25", "1.25"]
    assert "  relaxit list: failed: ProgramFailed: exit code 1: no list" in out.splitlines()
    (found,) = json.loads((tmp_path / "found.json").read_text())["benchmarks"]
    assert [row["name"] for row in found["rows"]] == names


def test_a_file_brings_a_benchmark(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(
        "import relaxit, torch\n"
        "from relaxit.bench import Benchmark, Implementation\n"
        "class Mine(Benchmark):\n"
        "    api, name = 1, 'test-mine'\n"
        "    def implementations(self, device):\n"
        "        return [Implementation('one', lambda: lambda: print('hi') or torch.ones(1))]\n"
        "@relaxit.hookimpl\n"
        "def relaxit_benchmarks():\n"
        "    return [Mine]\n"
    )
    arguments = ["bench", "structures", "test-mine", "--plugin", "mine.py", *QUICK, "--json"]
    assert run(arguments) == 0
    (found,) = json.loads(capsys.readouterr().out)["benchmarks"]
    assert found["implementations"][0]["outcome"] == "done"
    assert run(["bench", "structures", "test-mine"]) == 2


def test_it_is_listed_shown_and_not_checked(known, capsys):
    assert run(["list", "--json"]) == 0
    assert {"name": known, "summary": "figures that are known", "distribution": "session"} in (
        json.loads(capsys.readouterr().out)["benchmark"]
    )
    assert run(["show", known, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["kind"], facts["options"][0]["default"]) == ("benchmark", "1000")
    assert facts["structure"] == "test-structure"
    assert run(["show", known]) == 0
    assert "  belongs to test-structure\n" in capsys.readouterr().out
    assert run(["check", known]) == 2
    assert run(["plugins", "--json"]) == 0
    plugins = json.loads(capsys.readouterr().out)
    assert {"benchmark": [known]} in [plugin["provides"] for plugin in plugins]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("api, name = 2, 'bad'\n    implementations = lambda self, device: []", "api 2"),
        ("api, name = 1, 'Bad Name'\n    implementations = lambda self, device: []", "lower-case"),
        ("api, name = 1, 'bad'", "does not implement implementations"),
    ],
)
def test_a_defect_is_named(tmp_path, capsys, body, problem):
    (tmp_path / "bad.py").write_text(
        "import relaxit\nfrom relaxit.bench import Benchmark\n"
        f"@relaxit.register\nclass Bad(Benchmark):\n    {body}\n"
    )
    assert run(["bench", "structures", "--plugin", "bad.py"]) == 5
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["bench", "--help"], *(["bench", name, "--help"] for name in COMMANDS)]
)
def test_help_loads_no_torch(arguments):
    code = f"import sys; from relaxit.cli.app import run; run({arguments}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert arguments[-2] in done.stdout
    assert "torch" not in done.stdout.split()
