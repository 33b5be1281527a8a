"""What loads torch, and that the core knows no structure by name."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

import relaxit
from tests.architecture.house import HOUSE, room

CORE_MODULES = [module for name, module in HOUSE.items() if name.split(".")[0] == "relaxit"]

# --- torch is loaded late ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "module", ["relaxit", "relaxit.errors", "relaxit.options", "relaxit.plugins.specs",
               "relaxit.plugins", "relaxit.training.config", "relaxit.zoo", "relaxit.cli",
               "relaxit.categorical.hooks", "relaxit.tasks.vae.hooks", "relaxit_subset.hooks"]
)  # fmt: skip
def test_imports_no_torch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules and 'torch was imported')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_that_check_sees_torch():
    code = "import sys, relaxit.noise; sys.exit('torch' in sys.modules and 'torch was imported')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1


# --- no structure is known by name ------------------------------------------------------------

# The plugin itself, recipes, which are data that names what it trains, and layers that are built on
# a structure; the face that forwards names, and the list of what our packages provide.
EXEMPT = {"categorical", "zoo", "nn"}
LISTS = {"relaxit", "relaxit.plugins.packages"}
# A likelihood has the same name as a structure.
LIKELIHOODS = {
    "relaxit.tasks.text_vae.model",
    "relaxit.tasks.text_vae.options",
    "relaxit.tasks.vae.likelihood",
    "relaxit.tasks.vae.options",
}


def docstrings(tree: ast.AST) -> set[int]:
    """Ids of the string nodes that are documentation (a bare string, wherever it stands)."""
    return {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}


def default_settings(tree: ast.AST) -> set[int]:
    """Ids of all nodes in the settings that a task begins with: data, like a recipe."""
    assigned = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and [ast.unparse(target) for target in node.targets] == ["defaults"]
    ]
    return {id(node) for value in assigned for node in ast.walk(value)}


def words(source: str) -> Iterator[str]:
    """Identifiers, and the text of every string except docstrings and default settings."""
    tree = ast.parse(source)
    documented = docstrings(tree) | default_settings(tree)
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


@pytest.mark.parametrize(
    "module",
    [m for m in CORE_MODULES if room(m.name) not in EXEMPT and m.name not in LISTS | LIKELIHOODS],
    ids=lambda module: module.name,
)
def test_no_relaxation_is_known_by_name(module):
    found = named(module.source)
    assert not found, f"{module.name} names a relaxation: {found}"


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("x = 'categorical'", True),
        ("x = f'{y} binary'", True),
        ("if name == 'the binary one': pass", True),
        ("def categorical(): ...", True),
        ("get(categorical=3)", True),
        ("from a import Categorical", True),
        ("'''about categorical'''", False),
        ("def f():\n    '''about categorical'''", False),
        ("binary_cross_entropy(x)", False),
        ("x = 'binarised'", False),
        ("class T:\n    defaults = {'relaxation': {'name': 'binary'}}", False),
        ("class T:\n    others = {'relaxation': {'name': 'binary'}}", True),
    ],
)
def test_that_check_sees_a_name(source, seen):
    assert bool(named(source)) == seen
