"""Tests use what a module offers; names with an underscore are its own affair."""

from __future__ import annotations

import ast
import re

import pytest

from tests.architecture.house import ROOT

FILES = sorted([*ROOT.glob("tests/**/*.py"), *ROOT.glob("plugins/*/tests/**/*.py")])
PRIVATE = re.compile(r"(relaxit[\w.]*\.)?_[A-Za-z]\w*")
# Other people's modules, which tests may look into.
ALLOWED = {"torch", "os"}


def root_of(node: ast.expr) -> str:
    """Return the name that an expression of attributes, calls and items begins with."""
    while not isinstance(node, ast.Name):
        inner = getattr(node, "value", None) or getattr(node, "func", None)
        if not isinstance(inner, ast.expr):
            return ""
        node = inner
    return node.id


def defined(tree: ast.Module) -> set[str]:
    """Names that the file itself defines: functions, classes, methods, attributes."""
    names = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    return names | {
        n.attr if isinstance(n, ast.Attribute) else n.id
        for n in ast.walk(tree)
        if isinstance(n, ast.Name | ast.Attribute) and isinstance(n.ctx, ast.Store)
    }


def private_names(source: str) -> list[str]:
    """Private names of others that are imported, read, or replaced by ``monkeypatch``."""
    tree = ast.parse(source)
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("relaxit"):
            names += [alias.name for alias in node.names if PRIVATE.fullmatch(alias.name)]
        elif isinstance(node, ast.Attribute) and PRIVATE.fullmatch(node.attr):
            if root_of(node) not in ALLOWED and node.attr not in defined(tree):
                names.append(node.attr)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "").endswith("attr"):
            texts = [a.value for a in node.args if isinstance(a, ast.Constant)]
            named = [t for t in texts if isinstance(t, str) and "._" in f".{t}"]
            if node.args and root_of(node.args[0]) not in ALLOWED:
                names += [t for t in named if t.split(".")[-1] not in defined(tree)]
    return names


def test_no_private_names_of_the_code_under_test():
    private = {path: private_names(path.read_text(encoding="utf-8")) for path in FILES}
    assert not {str(path.relative_to(ROOT)): names for path, names in private.items() if names}


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("from relaxit.noise.sfc64 import _BLOCK", ["_BLOCK"]),
        ("engine._FAST", ["_FAST"]),
        ("built()._entries[0]", ["_entries"]),
        ("monkeypatch.setattr(cuda, '_taken', None)", ["_taken"]),
        ("monkeypatch.setattr('relaxit.cli.startup._read', None)", ["relaxit.cli.startup._read"]),
        ("self._count = 1; other._count", []),
        ("self._inherited", ["_inherited"]),
        ("torch._dynamo.reset()", []),
        ("monkeypatch.setattr(torch._C, '_is_there', None)", []),
        ("from relaxit import __version__", []),
    ],
)
def test_that_check_sees_them(source, names):
    assert private_names(source) == names
