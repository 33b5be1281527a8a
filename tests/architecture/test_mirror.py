"""Tests stand where the code stands that they test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture.house import CORE, ROOT

TESTS = ROOT / "tests"
# What is tested here is no single file: the tree, tools of developers, pages, a room as a whole.
APART = {"architecture", "ci"}
WHOLE = {
    "test_docs", "test_examples",
    "cli/test_cli", "cli/test_estimators", "cli/test_startup", "cli/bench/test_bench",
    "data/test_data",
    "estimators/test_estimators", "estimators/test_kinds_of_cost",
    "estimators/test_learned_temperature", "estimators/test_score_function",
    "estimators/test_through_draws",
    "gradients/test_problems",
    "noise/test_noise",
    "plugins/test_outside_plugin", "plugins/scaffold/test_scaffold",
    "testing/test_broken", "testing/test_kit", "testing/settings/test_settings",
    "training/runs/test_saved_run",
}  # fmt: skip

FILES = sorted(
    path.relative_to(TESTS).with_suffix("")
    for path in TESTS.rglob("test_*.py")
    if path.relative_to(TESTS).parts[0] not in APART
)


def module_of(path: Path) -> Path:
    """The module that a test file is named after."""
    return (CORE / path).with_name(path.name.removeprefix("test_") + ".py")


@pytest.mark.parametrize("path", [f for f in FILES if f.as_posix() not in WHOLE], ids=str)
def test_a_file_of_tests_stands_beside_its_module(path):
    assert module_of(path).is_file(), f"{path} tests no file of relaxit"


def test_every_directory_of_tests_is_one_of_the_code():
    directories = {path.parent for path in FILES}
    assert not [d for d in directories if not (CORE / d).is_dir()]


def test_the_exceptions_exist():
    assert {Path(name) for name in WHOLE} <= set(FILES)
