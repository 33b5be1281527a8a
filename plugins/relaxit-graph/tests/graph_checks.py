"""Parts of the conformance kit, as tests."""

from __future__ import annotations

import pytest

COMPILES = (
    "compiled_equals_eager",
    "exported_equals_eager",
    "few_graphs_for_any_temperature",
    "traced_equals_eager",
)
"""Checks that take most of the time, in compilers."""


def without(decorator, *dropped):
    """The decorator of the kit, less the checks whose names end a test's."""
    name, params = decorator.args
    ends = tuple(f"-{each}" for each in dropped)
    kept = [param for param in params if not str(param.id).endswith(ends)]
    assert len(kept) < len(params), "nothing is dropped"
    return pytest.mark.parametrize(name, kept)
