"""The structures on the page of pitfalls pass the conformance kit."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from relaxit.testing import cases, results
from tests.pages import blocks, page_of

STRUCTURES = ("def forward_filter", "class ChainDistribution", "NONE_OR_ONE")


@pytest.fixture
def page(monkeypatch):
    """The classes of the page, after its imports."""
    module = ModuleType("page_pitfalls")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # where pickle looks for classes
    python = [b.code for b in blocks(page_of("pitfalls").read_text()) if b.language == "python"]
    for code in (python[0], *(code for code in python if code.startswith(STRUCTURES))):
        exec(compile(code, "pitfalls", "exec"), module.__dict__)
    return module


@pytest.mark.parametrize(("name", "sizes"), [("Chain", {"length": 3}), ("AtMostOne", {})])
def test_the_structure_passes_every_check(page, name, sizes):
    (case,) = cases(getattr(page, name)(**sizes))
    assert [r for r in results(case) if r.outcome not in ("pass", "not applicable")] == []
