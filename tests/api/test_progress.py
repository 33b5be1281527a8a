"""The first lines of a run say what it does, and the bar calls examples by their name."""

from __future__ import annotations

import pytest

from relaxit.api import ProgressCallback, describe
from relaxit.training import Display, build, resolve
from relaxit.zoo import recipe_layers
from tests.api.quick import QUICK


def test_a_bar_calls_the_examples_by_name(monkeypatch):
    from rich.console import Console

    screen = Console(force_terminal=True, width=100, record=True)
    monkeypatch.setattr("relaxit.api.progress.screen", lambda: screen)
    with ProgressCallback(1, 10, 0, Display(), quiet=False, noun="rows") as callback:
        callback.step(5, {})
    assert "rows/s" in screen.export_text()


SETTINGS = [
    ({}, "batch 50, adam, learning rate 0.003 (cosine, 5% warm-up), weight decay 0.5, "
         "temperature 1.5 to 0.3 (exponential)"),
    ({"optimizer": {"method": "radam", "schedule": "constant", "warmup": 0.0}, "batch_size": 9},
     "batch 9, radam, learning rate 0.003 (constant, no warm-up), weight decay 0.5, "
     "temperature 1.5 to 0.3 (exponential)"),
    ({"temperature": {"schedule": "learned", "initial": 0.7}}, "temperature 0.7 (learned)"),
    ({"temperature": {"schedule": "constant", "initial": 0.7}}, "temperature 0.7"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "line"), SETTINGS)
def test_the_first_lines_name_batch_optimizer_and_schedules(change, line):
    config = resolve([*recipe_layers("categorical-vae"), {**change, "device": "cpu"}])
    lines = describe(build(config), "seed 0", None)
    assert any(text.endswith(line) for text in lines)
    assert lines[0] == "device cpu (as requested), seed 0"
    assert lines[-1].startswith("minimises the ")


def test_progress_in_python_is_shown_only_if_wanted(capsys):
    import relaxit

    relaxit.train(out="quiet", **QUICK)
    assert capsys.readouterr().err == ""
    relaxit.train(out="shown", **{**QUICK, "progress": True})
    err = capsys.readouterr().err
    assert err.splitlines()[0].startswith("device cpu")
    assert err.splitlines()[-1].startswith("epoch 2/2")
