"""What a command imports before it answers, for which the user waits. No clock is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ["torch", "pydantic", "matplotlib", "numpy", "sklearn", "scipy", "importlib.metadata"]


def imported(code, *names):
    """Which of the modules a fresh process has imported after this code."""
    asked = f"print(*(n for n in {names!r} if n in sys.modules), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\n{asked}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stderr.split()


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
        "sklearn",
        "torchvision",
        "tensorboard",
    )
    assert imported(code, *heavy) == []


def test_the_digits_are_those_of_scikit_learn():
    import torch

    from relaxit.data import digits

    assert "sklearn" not in imported("from relaxit.data.digits import _read; _read()", "sklearn")
    for mine, theirs in zip(digits._read(), digits._by_import(), strict=True):
        assert mine.dtype == theirs.dtype
        assert torch.equal(mine, theirs)


def test_digits_are_found_where_the_file_is_not(monkeypatch):
    from relaxit.data import digits

    monkeypatch.setattr(digits, "find_spec", lambda _: None)
    assert digits._read()[0].shape == (1797, 64)
