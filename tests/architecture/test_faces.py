"""A package's ``__init__`` is its face: from other rooms, names are imported from there only."""

from __future__ import annotations

import ast
import re
from importlib import import_module

import pytest

from tests.architecture.house import (
    CORE,
    HOUSE,
    ROOT,
    SOURCES,
    Import,
    Module,
    is_ours,
    module_at,
    room,
)
from tests.pages import PAGES

EACH = pytest.mark.parametrize("module", HOUSE.values(), ids=HOUSE)
FACES = [module for module in HOUSE.values() if module.is_package]


def exported(name: str) -> set[str]:
    """What a face exports; nothing if the module is none."""
    is_face = name in HOUSE and HOUSE[name].is_package
    return set(import_module(name).__all__) if is_face else set()


def past_a_face(module: Module, imported: Import) -> bool:
    """Whether a name is taken from inside of another room."""
    if not is_ours(imported) or room(module.name) in ("", room(imported.full)):
        return False
    if imported.name in exported(imported.module):
        return False
    inner = imported.full if imported.full in HOUSE else imported.module
    return inner.count(".") >= 2 and not HOUSE[inner].is_package


@EACH
def test_only_faces_are_imported(module):
    bad = [imported.full for imported in module.imports if past_a_face(module, imported)]
    assert not bad, f"{module.name} imports {', '.join(bad)}"


@pytest.mark.parametrize(
    ("path", "source", "seen"),
    [
        (CORE / "cli/train.py", "from relaxit.training.loop import train", True),
        (CORE / "cli/train.py", "from relaxit.training import loop", True),
        (CORE / "cli/train.py", "import relaxit.training.loop", True),
        (CORE / "cli/train.py", "from relaxit.training import train", False),
        (CORE / "cli/train.py", "from relaxit.training.runs import RunDirectory", False),
        (CORE / "cli/train.py", "from relaxit.errors import RelaxitError", False),
        (CORE / "training/loop.py", "from relaxit.training.step import State", False),
        (SOURCES["relaxit_subset"] / "hooks.py", "from relaxit.data.digits import Digits", True),
        (SOURCES["relaxit_subset"] / "hooks.py", "from relaxit.noise import gumbel", False),
    ],
)
def test_a_face_passed_by_is_seen(path, source, seen):
    module = module_at(path, source)
    assert any(past_a_face(module, imported) for imported in module.imports) == seen


# --- whoever writes a plugin reads these ------------------------------------------------------

OUTSIDE = sorted(
    [
        *ROOT.glob("examples/**/*.py"),
        *ROOT.glob("plugins/*/examples/*.py"),
        *PAGES,
        *ROOT.glob("plugins/*/README.md"),
        *CORE.glob("plugins/scaffold/template/**/*.template"),
    ]
)


def imported_in(text: str) -> list[Import]:
    """Our imports in a text, whatever else stands there."""
    found = []
    for module, names in re.findall(
        r"^\s*(?:>>> )?from (relaxit[\w.]*) import ([^\n]+)", text, re.M
    ):
        found += [Import(module, name.strip(" (,"), False) for name in names.split(",")]
    return [i for i in found if i.name.isidentifier()]


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda p: str(p.relative_to(ROOT)))
def test_examples_and_pages_import_faces_only(path):
    stranger = Module("stranger", path, "")
    bad = [i.full for i in imported_in(path.read_text()) if past_a_face(stranger, i)]
    assert not bad


def docstring_imports(module: Module) -> list[Import]:
    """What the examples in the docstrings of a module import."""
    texts = [n.value for n in ast.walk(module.tree) if isinstance(n, ast.Constant)]
    examples = [text for text in texts if isinstance(text, str) and ">>> " in text]
    return imported_in("\n".join(examples).replace("... ", ""))


@EACH
def test_examples_in_docstrings_import_faces_only(module):
    bad = [i.full for i in docstring_imports(module) if past_a_face(module, i)]
    assert not bad


def test_imports_of_a_docstring_are_seen():
    source = "'''Example:\n    >>> x = 1\n    ... from relaxit.data.digits import Digits\n'''"
    module = Module("relaxit.cli.train", ROOT, source)
    assert [i.full for i in docstring_imports(module)] == ["relaxit.data.digits.Digits"]
    assert past_a_face(module, docstring_imports(module)[0])


def test_imports_of_a_page_are_seen():
    text = "```python\nfrom relaxit.data.digits import Digits\n```"
    assert past_a_face(Module("stranger", ROOT, ""), imported_in(text)[0])


# --- what a face exports ----------------------------------------------------------------------


# Neither a module nor in one: the version, and constructors of registered relaxations.
FOUND = {"__version__", "Bernoulli", "Categorical"}


@pytest.mark.parametrize("face", FACES, ids=lambda m: m.name)
def test_every_name_of_a_face_is_there_and_known_to_type_checkers(face):
    module = import_module(face.name)
    names = set(module.__all__)
    for name in names:
        assert getattr(module, name) is not None
    assert names <= set(dir(module))
    if "lazy_exports" in face.source:
        typed = {i.name: i for i in face.imports if i.types}
        assert names - (FOUND if face.name == "relaxit" else set()) == set(typed)
        for name, imported in typed.items():
            home = HOUSE.get(imported.full) or HOUSE[imported.module]
            there = import_module(home.name)
            expected = there if home.name == imported.full else getattr(there, name)
            assert getattr(module, name) is expected, f"{face.name}.{name}"


@pytest.mark.parametrize("face", FACES, ids=lambda m: m.name)
def test_a_face_defines_nothing(face):
    defined = [n.name for n in face.tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef)]
    allowed = {"relaxit": ["__getattr__", "__dir__"]}.get(face.name, [])
    assert defined == allowed


def test_unknown_names_are_attribute_errors():
    for face in FACES:
        with pytest.raises(AttributeError, match="no_such_name"):
            import_module(face.name).no_such_name  # noqa: B018
