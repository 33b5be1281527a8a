"""Every hook and every public name is documented, and nothing else."""

from __future__ import annotations

import inspect
import re
from importlib import import_module

import pytest

from relaxit.plugins import specs
from tests.pages import DOCS, page_of

HOOKS = [
    f for _, f in inspect.getmembers(specs, inspect.isfunction) if f.__name__.startswith("relaxit_")
]


def signature_line(function) -> str:
    # Annotations are kept as text, which inspect prints in quotes.
    return f"def {function.__name__}{inspect.signature(function)}:".replace("'", "")


@pytest.mark.parametrize("hook", HOOKS, ids=lambda f: f.__name__)
def test_every_hook_is_documented(hook):
    page = page_of("contract").read_text()
    assert any(line.startswith(signature_line(hook)) for line in page.splitlines())
    assert f"- `{hook.__name__}`:" in page


def test_no_other_hook_is_documented():
    page = page_of("contract").read_text()
    assert set(re.findall(r"\brelaxit_[a-z_]+\b", page)) - {"relaxit_bins"} == {
        hook.__name__ for hook in HOOKS
    }


# Faces that a user or the author of a plugin may import from.
PUBLIC = [
    "relaxit", "relaxit.aliases", "relaxit.arguments", "relaxit.arithmetic", "relaxit.autograd",
    "relaxit.bench", "relaxit.categorical", "relaxit.constraints", "relaxit.constructors",
    "relaxit.data", "relaxit.derivative", "relaxit.drawing",
    "relaxit.dtypes", "relaxit.environment", "relaxit.errors", "relaxit.estimators",
    "relaxit.files", "relaxit.functional", "relaxit.gradients", "relaxit.json_text",
    "relaxit.losses", "relaxit.masks", "relaxit.nn", "relaxit.noise",
    "relaxit.parts", "relaxit.plugins", "relaxit.reproduce", "relaxit.seeded_distribution",
    "relaxit.shapes", "relaxit.sum_product",
    "relaxit.tasks.vae", "relaxit.temperature", "relaxit.testing", "relaxit.tracing",
    "relaxit.training", "relaxit.validation", "relaxit.zoo",
    "relaxit_permutation", "relaxit_permutation.sinkhorn", "relaxit_subset",
]  # fmt: skip


def documented_names() -> set[str]:
    text = "\n".join(page.read_text() for page in (DOCS / "api").glob("*.md"))
    return set(re.findall(r"^\.\. [\w:]+:: (relaxit[\w.]+)$", text, re.M))


@pytest.mark.parametrize("face", PUBLIC)
def test_the_api_lists_the_names_of_a_face(face):
    module = import_module(face)
    missing = {
        name
        for name in module.__all__
        if f"{face}.{name}" not in documented_names()
        and not any(
            name in other.__all__ and getattr(other, name) is getattr(module, name)
            for other in map(import_module, ("relaxit", "relaxit_permutation"))
        )
    }
    assert not missing


def test_the_api_lists_nothing_else():
    known = {f"{face}.{name}" for face in PUBLIC for name in import_module(face).__all__}
    assert documented_names() <= known
