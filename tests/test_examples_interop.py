"""The examples with other people's programs run as a reader would run them, where these are."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from tests.scripts import EXAMPLES
from tests.scripts import run as run_script

NEEDS = {
    "hub_round_trip": ("huggingface_hub", "huggingface_hub"),
    "lightning_annealing": ("lightning", "lightning"),
    "optuna_temperature": ("optuna", "optuna"),
    "pyro_enumeration": ("pyro", "pyro-ppl"),
}


def run(name: str, *arguments: str, cwd: Path) -> str:
    module, package = NEEDS[name]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"needs {module}: pip install {package}")
    return run_script(f"interop/{name}.py", *arguments, cwd=cwd, logs=True, HF_HUB_OFFLINE="1")


def numbers(text: str) -> list[float]:
    return [float(x) for x in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", text)]


def test_all_are_run():
    assert {path.stem for path in (EXAMPLES / "interop").glob("*.py")} == set(NEEDS)


def test_enumeration_reaches_the_evidence(tmp_path):
    lines = run("pyro_enumeration", cwd=tmp_path).splitlines()
    (first, last), (evidence,), learned, exact = map(numbers, lines[-4:])
    assert evidence <= last < evidence + 0.05 < first
    assert len(learned) == 12
    assert learned == pytest.approx(exact, abs=0.01)


def test_a_callback_anneals_the_layer(tmp_path):
    rows = [numbers(line) for line in run("lightning_annealing", cwd=tmp_path).splitlines()]
    losses, temperatures = zip(*rows[-8:], strict=True)
    assert losses[-1] < losses[0] - 0.1
    assert temperatures == pytest.approx([0.3 ** (n / 8) for n in range(1, 9)], abs=0.01)


def test_the_hub_keeps_weights_and_temperature(tmp_path):
    text = run("hub_round_trip", "saved", cwd=tmp_path)
    assert "temperature 0.25, same output: True" in text
    assert {"config.json", "model.safetensors"} <= {p.name for p in (tmp_path / "saved").iterdir()}


def test_a_search_finds_a_good_temperature(tmp_path):
    text = run("optuna_temperature", cwd=tmp_path)
    uniform, best, _ = numbers(text)
    assert uniform == pytest.approx(0.46)
    assert 0.1 <= best < 0.2
