"""Which benchmarks of a group are run, at which sizes, and which implementations take part."""

import importlib.util
import json

import pytest

import relaxit
from relaxit.cli.app import run
from tests.bench.implementations import Known
from tests.cli.bench.quick import QUICK, SMALL

SAMPLING = {f"categorical-{kind}" for kind in ("soft", "sample", "straight-through", "hard")}


def absent(baseline: str) -> bool:
    return baseline == "pyro" and importlib.util.find_spec("pyro") is None


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
        ("torch", ["off", "right", "raises", "short", "absent", "unavailable"]),
        ("relaxit", ["off", "raises", "short", "absent", "unavailable"]),
        ("relaxit,torch", ["off", "right", "raises", "short", "absent", "unavailable"]),
    ],
)
def test_baselines_are_chosen(known, capsys, against, names):
    assert run(["bench", "structures", known, "--against", against, *QUICK, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["benchmarks"]
    assert [each["name"] for each in found["implementations"]] == names
    assert found["reference"] == ("right" if "torch" in against else "off")


@pytest.mark.parametrize("implementation", ["unavailable", "absent"])
def test_nothing_to_measure_is_an_error_with_the_reason(known, capsys, implementation):
    assert run(["bench", "structures", known, "--only", implementation, *QUICK]) == 2
    assert f"nothing was measured: {implementation}: " in capsys.readouterr().err


def test_only_what_is_left_out_is_an_error(capsys):
    arguments = ["sampling", "categorical-soft", *SMALL, "--only", "relaxit compiled"]
    assert run(["bench", *arguments, "--no-compile", *QUICK]) == 2
    assert "compiled implementations were not requested" in capsys.readouterr().err


def test_without_needs_no_rates_are_measured(known, monkeypatch, capsys):
    from relaxit import bench

    monkeypatch.setattr(bench, "measure_rates", lambda device: 1 / 0)
    assert run(["bench", "structures", known, *QUICK]) == 0
    assert "lower_bound" not in capsys.readouterr().out


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
