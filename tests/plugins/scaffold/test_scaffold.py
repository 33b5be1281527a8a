"""``relaxit new-plugin``: which names it takes, what it writes, and that what it writes works."""

import ast
import importlib
import json
import math
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
import yaml
from scipy import stats
from torch.distributions import kl_divergence

import relaxit
from relaxit import Unsupported
from relaxit.cli.app import run
from relaxit.errors import CheckpointError, ConfigurationError
from relaxit.plugins import registry, scaffold
from relaxit.plugins.record import registration_problem
from relaxit.plugins.scaffold import Names, naming, render
from relaxit.testing import check_relaxation
from tests.helpers import DTYPES, params_for, seed

LONGEST = "a-bc" * 10
SHAPES = ["demo", "my-structure", "x1", "3d", "x", LONGEST, "3" * 40]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Each test in an empty folder, with none of the user's environment."""
    for key in [key for key in os.environ if key.startswith("RELAXIT_")]:
        monkeypatch.delenv(key)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def demo(tmp_path, monkeypatch):
    """The class in a package as generated, imported as an installed one would be."""
    package = scaffold.new_plugin("demo", tmp_path)
    monkeypatch.syspath_prepend(str(package / "src"))
    yield importlib.import_module("relaxit_demo.hooks").relaxit_relaxations()[0]
    for name in [name for name in sys.modules if name.partition(".")[0] == "relaxit_demo"]:
        del sys.modules[name]


def written(directory: Path) -> list[str]:
    return sorted(str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file())


# --- names ------------------------------------------------------------------------------------

GOOD = {
    "demo": "Demo",
    "my-structure": "MyStructure",
    "x1": "X1",
    "k-2-subset": "K2Subset",
    "3d": "Relaxed3d",
    "none": "RelaxedNone",
    "true": "RelaxedTrue",
    "class": "Class",
    "options": "RelaxedOptions",
    "perturb-and-relax": "RelaxedPerturbAndRelax",
    LONGEST: "A" + "Bca" * 9 + "Bc",
}
BAD = ["", "Demo", "my_structure", "a b", "-a", "a-", "a--b", "../x", "a/b", ".", "..", "a\n"]
BAD += ["größe", "a.b", "a:b", "$(ls)", "%{name}", "\u0661", "x" * 41]


@pytest.mark.parametrize(("name", "class_name"), GOOD.items())
def test_good_names(name, class_name):
    found = Names.of(name)
    assert found.class_name == class_name
    assert found.class_name.isidentifier()
    assert found.module.isidentifier()
    assert found.distribution == f"relaxit-{name}"


@pytest.mark.parametrize("name", BAD)
def test_bad_names(tmp_path, capsys, name):
    with pytest.raises(ConfigurationError):
        Names.of(name)
    assert run(["new-plugin", "--", name]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [*GOOD, *BAD])
def test_the_rule_is_the_registrys(name):
    item = type("Item", (relaxit.Relaxation,), {"name": name, "api": 1})
    legal = "name must be" not in registration_problem("relaxation", item, name)
    assert legal == (name in GOOD or len(name) > 40)


def test_class_names_leave_the_templates_imports_alone(tmp_path):
    package = scaffold.new_plugin("demo", tmp_path)
    tree = ast.parse((package / "src/relaxit_demo/relaxation.py").read_text())
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module != "__future__"
        for alias in node.names
    }
    assert {name for name in imported if name[0].isupper()} == naming._TAKEN


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("categorical", "relaxit-framework"),
        ("pathwise", "relaxit-framework"),
        ("mnist", "relaxit-framework"),
        ("framework", "relaxit-framework"),  # by its distribution
    ],
)
def test_a_taken_name_is_refused(tmp_path, capsys, name, owner):
    assert run(["new-plugin", name]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert owner in err
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_two_plugins_share_is_taken(tmp_path, demo, monkeypatch):
    own = registry.Registry(entry_points=[], environ={})
    for distribution in ("relaxit-one", "relaxit-two"):
        plugin = registry.PluginRecord("p", distribution, "1", "m")
        own.add(plugin, sys.modules["relaxit_demo.hooks"])
    assert list(own.items("relaxation").values()) == [demo, demo]
    monkeypatch.setattr(naming, "default_registry", lambda: own)
    with pytest.raises(ConfigurationError, match="'demo' is already registered by relaxit-one"):
        scaffold.new_plugin("demo", tmp_path / "relaxit-demo")  # a folder without one


# --- folders ----------------------------------------------------------------------------------


def refusal(capsys, *arguments) -> tuple[int, str]:
    code = run(["new-plugin", *arguments])
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    return code, err


def test_a_directory_that_exists_is_left_alone(tmp_path, capsys):
    (tmp_path / "relaxit-demo").mkdir()
    (tmp_path / "relaxit-demo" / "thesis.txt").write_text("mine")
    code, said = refusal(capsys, "demo")
    assert code == 2
    assert "relaxit-demo already exists" in said
    assert written(tmp_path) == ["relaxit-demo/thesis.txt"]
    (tmp_path / "relaxit-empty").mkdir()
    assert refusal(capsys, "empty")[0] == 2
    (tmp_path / "relaxit-file").write_text("mine")
    assert refusal(capsys, "file")[0] == 2
    (tmp_path / "relaxit-link").symlink_to("nowhere")
    assert refusal(capsys, "link")[0] == 2
    assert written(tmp_path) == ["relaxit-demo/thesis.txt", "relaxit-file"]


def test_a_parent_that_is_no_directory(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    for parent in ("nowhere", "file", "file/below"):
        code, said = refusal(capsys, "demo", "--dir", parent)
        assert code == 2
        assert "not a directory" in said
    assert written(tmp_path) == ["file"]


def test_a_parent_that_refuses(tmp_path, capsys, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    code, said = refusal(capsys, "demo", "--dir", str(tmp_path))
    assert code == 4
    assert "Permission denied" in said
    assert f"{tmp_path / 'relaxit-demo'}" in said


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", [1, 5, "rename"])
def test_whole_or_not_at_all(tmp_path, monkeypatch, error, step):
    calls = []
    whole = render.write_atomically

    def fail(*_):
        raise error

    def write(path, text):
        calls.append(path)
        if len(calls) == step:
            fail()
        whole(path, text)

    monkeypatch.setattr(render, "write_atomically", write)
    if step == "rename":
        monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(CheckpointError if isinstance(error, OSError) else KeyboardInterrupt):
        scaffold.new_plugin("demo", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_once(tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("relaxit.files.os.fsync", full)
    code, said = refusal(capsys, "demo")
    assert code == 4
    assert said.count("No space left on device") == said.count("cannot write") == 1
    assert list(tmp_path.iterdir()) == []


# --- what is written --------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHAPES)
def test_every_file(tmp_path, name):
    package, module = scaffold.new_plugin(name, tmp_path), Names.of(name).module
    assert package == tmp_path / f"relaxit-{name}"
    assert written(package) == [
        ".github/workflows/ci.yml",
        ".gitignore",
        "README.md",
        "pyproject.toml",
        f"src/{module}/__init__.py",
        f"src/{module}/distribution.py",
        f"src/{module}/hooks.py",
        f"src/{module}/py.typed",
        f"src/{module}/relaxation.py",
        "tests/test_conformance.py",
    ]
    for path in map(package.joinpath, written(package)):
        text = path.read_text(encoding="utf-8")
        assert "%{" not in text
        assert "MODULE" not in text
        assert path.suffix != ".py" or ast.parse(text)
        assert path.suffix != ".yml" or yaml.safe_load(text)["jobs"]
    assert list(tmp_path.iterdir()) == [package]  # nothing temporary


def test_the_project_file(tmp_path):
    package = scaffold.new_plugin("my-structure", tmp_path)
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    assert (project["name"], project["version"]) == ("relaxit-my-structure", "0.1.0")
    assert project["entry-points"] == {
        "relaxit.plugins": {"my-structure": "relaxit_my_structure.hooks"}
    }
    (dependency,) = project["dependencies"]
    assert dependency == render._requirement(relaxit.__version__)
    assert re.fullmatch(r"relaxit-framework>=[\w.]+,<[\d.]+", dependency)


def test_the_workflow(tmp_path):
    text = (scaffold.new_plugin("demo", tmp_path) / ".github/workflows/ci.yml").read_text()
    lines = [step.get("run", "") for step in yaml.safe_load(text)["jobs"]["test"]["steps"]]
    assert "${{ matrix.python }}" in text
    assert 'pip install "$CORE" -e ".[dev]"' in lines
    assert "relaxit --strict-plugins check demo" in lines


@pytest.mark.parametrize("name", SHAPES)
def test_it_is_tidy(tmp_path, name):
    package = scaffold.new_plugin(name, tmp_path)
    for command in (["check"], ["format", "--diff"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", "."]
        done = subprocess.run(ruff, cwd=package, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_mode_of_its_directory_is_the_users(tmp_path):
    (tmp_path / "plain").mkdir()
    package = scaffold.new_plugin("demo", tmp_path)
    assert package.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_directory_given_as_text(tmp_path):
    (tmp_path / "below").mkdir()
    assert scaffold.new_plugin("demo", "below") == Path("below/relaxit-demo")


# --- the command ------------------------------------------------------------------------------


def test_it_says_what_comes_next(tmp_path, capsys):
    (tmp_path / "a folder").mkdir()
    assert run(["new-plugin", "demo", "--dir", "a folder"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    lines = [shlex.split(line) for line in err.splitlines() if line.startswith("    ")]
    assert lines == [
        ["pip", "install", "-e", "./a folder/relaxit-demo[dev]"],
        ["relaxit", "check", "demo"],
        ["relaxit", "train", "--relaxation", "demo"],
    ]


def test_json(tmp_path, capsys):
    assert run(["new-plugin", "demo", "--dir", str(tmp_path), "--json"]) == 0
    out, _ = capsys.readouterr()
    result = json.loads(out)
    assert Path(result["path"]) == tmp_path / "relaxit-demo"
    assert len(result["next"]) == 3
    assert shlex.split(result["next"][0])[-1] == f"{tmp_path}/relaxit-demo[dev]"


# --- the relaxation ---------------------------------------------------------------------------


def by_hand(params):
    """All rows in float64 and the mass of each, from the probability of each switch."""
    size = params.shape[-1]
    rows = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * size)
    rows = rows.reshape(2**size, size)
    p = 1 / (1 + torch.exp(-params.double()))
    factors = torch.where(rows.unsqueeze(1) == 1, p, 1 - p)  # [rows, batch, size]
    return rows, factors.prod(-1)


def test_as_a_plugin(demo):
    own = registry.Registry(entry_points=[], environ={})
    plugin = registry.PluginRecord("demo", "relaxit-demo", "0.1.0", "relaxit_demo")
    own.add(plugin, sys.modules["relaxit_demo.hooks"])
    assert plugin.state == "ok"
    assert plugin.provides == {"relaxation": ["demo"]}
    assert own.find("relaxation", "demo") is demo


def test_the_hook_module_loads_no_torch(tmp_path):
    package = scaffold.new_plugin("demo", tmp_path)
    code = "import sys, relaxit_demo.hooks; sys.exit('torch' in sys.modules)"
    path = os.pathsep.join([str(package / "src"), str(Path(relaxit.__file__).parents[1])])
    env = {**os.environ, "PYTHONPATH": path}
    assert subprocess.run([sys.executable, "-c", code], env=env, check=False).returncode == 0


def test_shapes_and_support(demo):
    assert demo() == demo(size=4)
    for relaxation in (*demo.examples(), demo()):
        size = relaxation.options.size
        assert relaxation.event_shape == relaxation.param_shape == (size,)
        q = relaxation(params_for(relaxation, 3, 2), 0.5)
        soft, hard = q.draw((5,), seed(0))
        assert soft.shape == hard.shape == q.sample_hard((5,)).shape == (5, 3, 2, size)
        assert bool(q.support.check(soft).all())
        assert bool(relaxation.vertices.check(hard).all())
        assert torch.equal(q.hard(soft), hard)
        for denied in (lambda q=q, soft=soft: q.log_prob(soft), lambda q=q: q.log_space):
            with pytest.raises(Unsupported):
                denied()
    with pytest.raises(ConfigurationError, match="size"):
        demo(size=0)


@pytest.mark.parametrize("size", [1, 3])
def test_the_distribution_by_enumeration(demo, size):
    relaxation = demo(size=size)
    a, b = params_for(relaxation, 6) * 2, params_for(relaxation, 6, number=8)
    distribution = relaxation.discrete(a)
    rows, p = by_hand(a)
    q = by_hand(b)[1]
    close = {"rtol": 0, "atol": 1e-12}
    listed = distribution.enumerate_support()
    assert sorted(map(tuple, listed[:, 0].tolist())) == sorted(map(tuple, rows.tolist()))
    torch.testing.assert_close(distribution.log_prob(rows.unsqueeze(1)).exp(), p, **close)
    mean = (p.unsqueeze(-1) * rows.unsqueeze(1)).sum(0)
    torch.testing.assert_close(distribution.mean, mean, **close)
    assert torch.equal(distribution.mode, rows[p.argmax(0)])
    torch.testing.assert_close(distribution.entropy(), -(p * p.log()).sum(0), **close)
    got = kl_divergence(distribution, relaxation.discrete(b))
    torch.testing.assert_close(got, (p * (p / q).log()).sum(0), **close)
    uniform = (p * (p * len(p)).log()).sum(0)
    torch.testing.assert_close(relaxation(a).kl_to_uniform(), uniform, **close)
    assert relaxation.log_cardinality == pytest.approx(math.log(len(rows)))
    assert float(distribution.log_prob(torch.full((6, size), 0.5).double()).max()) == -math.inf


def test_expand_and_support_without_expand(demo):
    distribution = demo(size=3).discrete(params_for(demo(size=3), 2))
    big = distribution.expand((5, 2))
    assert torch.equal(big.mean, distribution.mean.expand(5, 2, 3))
    assert big.sample((4,)).shape == (4, 5, 2, 3)
    thin = distribution.enumerate_support(expand=False)
    assert thin.shape == (8, 1, 3)
    assert torch.equal(thin.expand(8, 2, 3), distribution.enumerate_support())
    with pytest.raises(Unsupported, match="too many"):
        demo(size=21).enumerate_vertices()


@pytest.mark.parametrize("road", ["draw", "rounded", "sample"])
def test_frequencies(demo, road):
    # alpha = 2e-5, seeds fixed; the law with half the noise has to fail.
    relaxation, count = demo(size=3), 100_000
    params = torch.tensor([0.5, -1.0, 0.0])
    values = {
        "draw": lambda q: q.draw((count,), seed(1))[1],
        "rounded": lambda q: q.hard(q.sample((count,), seed(2))),
        "sample": lambda q: q.sample_hard((count,), seed(3)),
    }[road]
    rows, p = by_hand(params.unsqueeze(0))

    def pvalue(q) -> float:
        numbers = (values(q) * torch.tensor([4.0, 2.0, 1.0])).sum(-1).long()
        observed = torch.bincount(numbers, minlength=8).double()
        return stats.chisquare(observed.numpy(), (p[:, 0] * count).numpy()).pvalue

    assert rows.tolist()[1] == [0, 0, 1]  # rows are in the order of these numbers
    assert pvalue(relaxation(params)) > 2e-5
    assert pvalue(relaxation(params * 2)) < 2e-5


@pytest.mark.parametrize("dtype", DTYPES)
def test_extreme_scores_in_every_dtype(demo, dtype):
    relaxation = demo(size=3)
    rows = [[1e4, -1e4, 0.0], [1e4, 1e4, 1e4], [-1e4] * 3, [0.0] * 3]
    params = torch.tensor(rows, dtype=dtype, requires_grad=True)
    q = relaxation(params, 0.1)
    soft, hard = q.draw((20,))
    assert {soft.dtype, hard.dtype, q.discrete.mean.dtype, q.sample_hard().dtype} == {dtype}
    other = relaxation.discrete(params.detach().flip(0))
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    scalars = [q.discrete.entropy(), q.kl_to_uniform(), kl_divergence(q.discrete, other)]
    scalars.append(q.discrete.log_prob(hard))
    assert {value.dtype for value in scalars} == {wide}
    for value in (*scalars, soft):
        assert bool(value.isfinite().all())
        (slope,) = torch.autograd.grad(value.sum(), params, retain_graph=True)
        assert bool(slope.isfinite().all())


def test_vmap_and_compile(demo):
    relaxation = demo(size=3)

    def everything(params, temperature):
        q = relaxation(params, temperature)
        soft, hard = q.draw((2,))
        distribution = q.discrete
        again = relaxation.discrete(params * 2)
        found = [
            soft,
            hard,
            q.hard(soft),
            q.sample_hard(),
            distribution.mean,
            distribution.entropy(),
            distribution.mode,
        ]
        return [
            *found,
            distribution.log_prob(hard),
            q.kl_to_uniform(),
            kl_divergence(distribution, again),
        ]

    params, temperature = torch.randn(4, 3), torch.tensor([0.1, 0.5, 1.0, 2.0])
    torch.compiler.reset()
    compiled = torch.compile(everything, fullgraph=True, backend="aot_eager")
    torch.manual_seed(1)
    got = compiled(params, temperature)
    torch.manual_seed(1)
    for value, want in zip(got, everything(params, temperature), strict=True):
        torch.testing.assert_close(value, want)
    mapped = torch.func.vmap(everything, randomness="different")(params, temperature)
    assert [value.shape[0] for value in mapped] == [4] * 10
    torch.testing.assert_close(mapped[5], got[5])


def test_it_conforms(demo):
    found = check_relaxation(demo)
    assert {result.outcome for result in found} == {"pass", "not applicable"}


def test_it_trains(demo, tmp_path, capsys):
    relaxit.register(demo)
    try:
        arguments = "train --relaxation demo --epochs 1 --device cpu --out run --quiet --json"
        assert run(arguments.split()) == 0
    finally:
        relaxit.unregister(demo)
    result = json.loads(capsys.readouterr().out)
    assert result["test_elbo_discrete"] < 0
    assert math.isfinite(result["train_surrogate"])


def test_the_readmes_code_runs(demo, tmp_path):
    text = (tmp_path / "relaxit-demo" / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.S)
    relaxit.register(demo)
    try:
        found = {}
        exec(code, found)
    finally:
        relaxit.unregister(demo)
    torch.testing.assert_close(found["entropy"], torch.full((32,), 4 * math.log(2)))
