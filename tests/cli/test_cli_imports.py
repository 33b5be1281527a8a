"""What a command imports before it answers, for which the user waits. No clock is needed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.imports import imported

HEAVY = ["torch", "pydantic", "matplotlib", "numpy", "sklearn", "scipy", "importlib.metadata"]


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    # Typer checks the values of a command's own options with these.
    [(["--help"], set()), (["train", "--help"], {"pydantic", "importlib.metadata"})],
)
def test_help_imports_no_library_of_numbers(arguments, allowed):
    code = f"import _relaxit_cli\nfrom relaxit.cli.app import run\nassert run({arguments!r}) == 0"
    assert set(imported(code, *HEAVY)) <= allowed


def test_the_check_sees_an_import():
    assert imported("import numpy", *HEAVY) == ["numpy"]


def test_listing_starts_no_compiler_and_draws_nothing(tmp_path, monkeypatch):
    # The first time torch itself is needed: plugins are classes of tensors, whose modules run.
    monkeypatch.setenv("RELAXIT_CACHE_DIR", str(tmp_path))
    code = (
        "from relaxit.cli.app import run\nassert run(['list']) == 0\nassert 'torch' in sys.modules"
    )
    heavy = (
        "torch._dynamo",
        "torch._inductor",
        "matplotlib",
        "scipy.optimize",
        "sklearn",
        "torchvision",
        "tensorboard",
    )
    assert imported(code, *heavy) == []


def fresh_process(code: str) -> str:
    # Without other plugins, which are asked for their recipes, and may load what they like.
    return subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "RELAXIT_PLUGINS": "none"},
    ).stdout


def test_what_needs_no_tensor_loads_no_torch():
    code = "import sys; from relaxit.cli.app import run; run({}); print('torch' in sys.modules)"
    for arguments in (
        ["--help"],
        ["train", "--help"],
        ["zoo", "list"],
        ["zoo", "show", "tutorial-mnist"],
        ["--version"],
    ):
        assert fresh_process(code.format(arguments)).splitlines()[-1] == "False", arguments
