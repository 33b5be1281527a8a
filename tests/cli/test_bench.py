"""``relaxit bench`` as a person and as a program meet it. No time is looked at."""

import json
import os
import subprocess
import sys

import pytest
import torch

import relaxit
from relaxit.cli.app import run
from tests.bench.contenders import Known

QUICK = ["--rounds", "2", "--seconds", "0", "--device", "cpu"]


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
    assert ", 1 CPU threads on " in lines[0]
    assert f"torch {torch.__version__}, 20" in lines[0]
    assert "test-known: figures that are known (n 500)" in lines
    right = next(line.split() for line in lines if line.split()[:1] == ["right"])
    assert right[3:] == [right[3], "1.00", "0.00191", "1", "0.0e+00", "0.0e+00"]
    assert "  2 rounds; ratios to right" in lines
    assert "  absent: skipped: a_peer_that_nobody_has is not installed" in lines
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
    assert found["contenders"][0]["error"] == {"absolute": 0.5, "relative": 0.5, "not_finite": 0}
    assert found["contenders"][4]["outcome"] == "skipped"


def test_all_of_them_run_without_a_name(known, capsys):
    # Sizes of their own would take minutes: only the contenders of one take part.
    assert run(["bench", "structures", "--only", "right", "--only", "off", *QUICK, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["benchmarks"]
    assert [each["name"] for each in found["contenders"]] == ["off", "right"]


def test_the_builtin_ones_run(capsys):
    sizes = [word for each in ("batch=64", "latents=3", "categories=4") for word in ("-o", each)]
    ours = ["categorical-hard", "categorical-sample"]
    assert run(["bench", "structures", *ours, *sizes, *QUICK, "--no-compile", "--json"]) == 0
    found = {each["name"]: each for each in json.loads(capsys.readouterr().out)["benchmarks"]}
    assert set(found) == set(ours)
    for benchmark in found.values():
        for each in benchmark["contenders"]:
            assert each["outcome"] == ("skipped" if each["compiled"] else "done"), each
            assert each["compiled"] or each["memory_bytes"] > 0
    for each in found["categorical-hard"]["contenders"]:  # four standard deviations of a mean
        assert each["error"]["absolute"] < 4 * 0.5 / 64**0.5


@pytest.mark.slow
def test_the_builtin_ones_compile(capsys):
    arguments = ["bench", "structures", "categorical-sample", "-o", "batch=8", *QUICK, "--json"]
    assert run(arguments) == 0
    (found,) = json.loads(capsys.readouterr().out)["benchmarks"]
    outcomes = {(each["outcome"], each["reason"][:30]) for each in found["contenders"]}
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
    assert out == "" or out.startswith("device cpu")


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


def test_ctrl_c_says_so(known, monkeypatch, capsys):
    from relaxit.bench import run as running

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "run_rounds", interrupted)
    assert run(["bench", "structures", known, *QUICK]) == 130
    assert capsys.readouterr().err.strip() == "error: stopped"


def test_a_file_brings_a_benchmark(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(
        "import relaxit, torch\n"
        "from relaxit.bench import Benchmark, Contender\n"
        "class Mine(Benchmark):\n"
        "    api, name = 1, 'test-mine'\n"
        "    def contenders(self, device):\n"
        "        return [Contender('one', lambda: lambda: print('hi') or torch.ones(1))]\n"
        "@relaxit.hookimpl\n"
        "def relaxit_benchmarks():\n"
        "    return [Mine]\n"
    )
    arguments = ["bench", "structures", "test-mine", "--plugin", "mine.py", *QUICK, "--json"]
    assert run(arguments) == 0
    (found,) = json.loads(capsys.readouterr().out)["benchmarks"]
    assert found["contenders"][0]["outcome"] == "done"
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
        ("api, name = 2, 'bad'\n    contenders = lambda self, device: []", "api 2"),
        ("api, name = 1, 'Bad Name'\n    contenders = lambda self, device: []", "lower-case"),
        ("api, name = 1, 'bad'", "does not implement contenders"),
    ],
)
def test_a_defect_is_named(tmp_path, capsys, body, problem):
    (tmp_path / "bad.py").write_text(
        "import relaxit\nfrom relaxit.bench import Benchmark\n"
        f"@relaxit.register\nclass Bad(Benchmark):\n    {body}\n"
    )
    assert run(["bench", "structures", "--plugin", "bad.py"]) == 5
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["bench", "--help"], ["bench", "structures", "--help"]])
def test_help_loads_no_torch(arguments):
    code = f"import sys; from relaxit.cli.app import run; run({arguments}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "structures" in done.stdout
    assert "torch" not in done.stdout.split()
