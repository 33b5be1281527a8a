"""The progress bar of a terminal calls the examples by their name."""

from __future__ import annotations

import pytest
import rich.console

from relaxit.api.progress import ProgressCallback
from relaxit.training import Display


@pytest.mark.parametrize("noun", ["rows", "images"])
def test_a_bar_calls_the_examples_by_name(noun, monkeypatch):
    screen = rich.console.Console(force_terminal=True, width=100, record=True)
    monkeypatch.setattr(rich.console, "Console", lambda **_: screen)
    with ProgressCallback(1, 10, 0, Display(), quiet=False, noun=noun) as callback:
        callback.step(5, {})
    assert f"{noun}/s" in screen.export_text()
