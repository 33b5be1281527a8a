"""The shape of the house: who may import whom, and that core knows no structure by name."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import relaxit

ROOT = Path(relaxit.__file__).parent

# Each layer imports itself and those before it.
LAYERS = [
    {
        "errors",
        "files",
        "environment",
        "options",
        "shapes",
        "constraints",
        "tracing",
        "arithmetic",
        "log1p",
        "half",
        "through",
    },
    {"cooling", "bits"},
    {"noise"},
    {"law", "discrete", "relaxation"},
    {"perturb", "estimators"},
    {"hookspecs", "plugin", "discovery", "loader", "plugin_file", "names", "registry", "layer"},
    {"config", "schedules", "scaffold", "testing", "bench", "gradients"},
    {"data", "models"},
    {"training"},
    {"vae", "polynomial"},
    {"reproduce"},
    {"zoo"},
    {"speed"},
    {"cli"},
    {"launcher"},
]
RANK = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}

# Modules behind an entry point: they may name the hooks, wherever their package stands.
PLUGIN_MODULES = {
    "relaxit.categorical",
    "relaxit.estimators",
    "relaxit.data",
    "relaxit.vae",
    "relaxit.polynomial",
    "relaxit.zoo",
}

# Built-in plugins that are found by name only: nobody imports them.
UNNAMED = {"categorical", "vae", "polynomial"}

# Third parties, and the only parts that may import them.
CONFINED = {
    "torchvision": {"data", "speed"},  # there in a tutorial's script, which is measured
    "typer": {"cli"},
    "click": {"cli"},
    "pluggy": {"hookspecs", "loader"},
}

FILES = sorted(ROOT.rglob("*.py"))
EACH_FILE = pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))


def module_of(path: Path) -> str:
    parts = ["relaxit", *path.relative_to(ROOT).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module: str) -> str:
    """relaxit.data.digits -> data; the package itself -> ''."""
    return [*module.split("."), ""][1]


def only_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes, functions' bodies too, except under ``if TYPE_CHECKING``."""
    for child in ast.iter_child_nodes(tree):
        if only_for_types(child):
            for other in child.orelse:
                yield other
                yield from runtime_nodes(other)
            continue
        yield child
        yield from runtime_nodes(child)


def imports(path: Path) -> Iterator[str]:
    """Full names of what a file imports: ``from relaxit import get`` is relaxit.registry.get."""
    package = module_of(path) if path.name == "__init__.py" else module_of(path).rpartition(".")[0]
    for node in runtime_nodes(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*up, base] if base else up)
            for alias in node.names:
                home = relaxit._HOME.get(alias.name) if base == "relaxit" else None
                yield f"{home or base}.{alias.name}"
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
            ("import_module", "__import__")
        ):
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value


def own_imports(path: Path) -> Iterator[str]:
    return (name for name in imports(path) if name.split(".")[0] == "relaxit")


def allowed(importer: str, imported: str) -> bool:
    here, there = part_of(importer), part_of(imported)
    if here == "categorical":
        # Its own files, and public modules; a plugin elsewhere could do the same.
        return there == "categorical" or not any(p.startswith("_") for p in imported.split("."))
    if there in UNNAMED and here != there:
        return False
    if importer in PLUGIN_MODULES and there == "hookspecs":
        return True
    if here == "hookspecs" and there == "registry":
        return False
    if there in ("", "__version__"):
        return here in ("", "cli", "training", "launcher")
    if here == "":
        return True  # the package's own __init__ only forwards names
    return there in RANK and here in RANK and RANK[there] <= RANK[here]


@EACH_FILE
def test_every_file_has_a_layer(path):
    part = part_of(module_of(path))
    assert part in ("", "categorical") or part in RANK, f"give {part!r} a place in LAYERS"


@EACH_FILE
def test_layers(path):
    importer = module_of(path)
    bad = [name for name in own_imports(path) if not allowed(importer, name)]
    assert not bad, f"{importer} may not import {', '.join(bad)}"


@EACH_FILE
def test_confined_libraries(path):
    tops = {name.split(".")[0] for name in imports(path)}
    for library, parts in CONFINED.items():
        assert library not in tops or part_of(module_of(path)) in parts, f"{library} in {path}"


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("noise.py", "from relaxit.relaxation import Relaxation"),
        ("noise.py", "def f():\n    from relaxit import Relaxation"),
        ("relaxation.py", "from relaxit.categorical import laws"),
        ("training/loop.py", "import relaxit.categorical"),
        ("training/loop.py", "from relaxit.vae.task import VaeTask"),
        ("cli/output.py", "from relaxit.vae import task"),
        ("training/task.py", "from relaxit.cli import output"),
        (
            "cli/__init__.py",
            "from importlib import import_module\nimport_module('relaxit.categorical')",
        ),
        ("hookspecs.py", "from relaxit import registry"),
        ("estimators/rloo.py", "from relaxit.registry import get"),
        ("estimators/rloo.py", "from ..registry import get"),
        ("data/digits.py", "from relaxit.training import loop"),
        ("categorical/laws.py", "from relaxit._hidden import thing"),
    ],
)
def test_the_rule_sees_a_breach(path, source, monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda *_: source)
    path = ROOT / path
    assert not all(allowed(module_of(path), name) for name in own_imports(path))


def test_type_checking_imports_are_exempt(monkeypatch):
    source = "if TYPE_CHECKING:\n    from relaxit.training import loop\nelse:\n    import torch"
    monkeypatch.setattr(Path, "read_text", lambda *_: source)
    assert list(imports(ROOT / "noise.py")) == ["torch"]


# --- torch is loaded late ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "module", ["relaxit", "relaxit.errors", "relaxit.options", "relaxit.hookspecs",
               "relaxit.config", "relaxit.zoo", "relaxit.cli"]
)  # fmt: skip
def test_imports_no_torch(module):
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        pytest.skip(f"{module} is not there yet")
    code = f"import sys, {module}; sys.exit('torch' in sys.modules and 'torch was imported')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_that_check_sees_torch():
    code = "import sys, relaxit.noise; sys.exit('torch' in sys.modules and 'torch was imported')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1


# --- no structure is known by name ------------------------------------------------------------

# The plugin itself, and recipes, which are data that names what it trains.
EXEMPT_PARTS = {"categorical", "zoo"}


def docstrings(tree: ast.AST) -> set[int]:
    """Ids of the string nodes that are documentation (a bare string, wherever it stands)."""
    return {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}


def words(source: str) -> Iterator[str]:
    """Identifiers, and the text of every string that is no docstring."""
    tree = ast.parse(source)
    documented = docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in documented:
                yield node.value
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.arg | ast.keyword):
            yield node.arg or ""
        elif isinstance(node, ast.alias):
            yield from node.name.split(".")
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            yield node.name


def named(source: str) -> set[str]:
    names = "|".join(map(re.escape, relaxit.relaxations()))
    word = re.compile(rf"(?<![\w-])({names})(?![\w-])", re.IGNORECASE)
    return {text for text in words(source) if word.search(text)}


@EACH_FILE
def test_no_relaxation_is_known_by_name(path):
    if part_of(module_of(path)) in EXEMPT_PARTS:
        pytest.skip("exempt")
    found = named(path.read_text())
    assert not found, f"{path} names a relaxation: {found}"


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("x = 'categorical'", True),
        ("x = f'{y} binary'", True),
        ("if name == 'the binary law': pass", True),
        ("def categorical(): ...", True),
        ("get(categorical=3)", True),
        ("from a import Categorical", True),
        ("'''about categorical'''", False),
        ("def f():\n    '''about categorical'''", False),
        ("binary_cross_entropy(x)", False),
        ("x = 'binarised'", False),
    ],
)
def test_that_check_sees_a_name(source, seen):
    assert bool(named(source)) == seen
