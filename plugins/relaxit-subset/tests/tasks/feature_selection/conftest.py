"""An empty directory for each test, and the classes that the tests register."""

from __future__ import annotations

import pytest
import torch
from planted_pixels import Planted, Positive

import relaxit


@pytest.fixture(autouse=True)
def registered(tmp_path, monkeypatch):
    """Run in an empty directory and a wide terminal, with the classes of these tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    torch.set_num_threads(1)
    classes = (Planted, Positive)
    with torch.random.fork_rng():
        for cls in classes:
            relaxit.register(cls)
        yield
        for cls in classes:
            relaxit.unregister(cls)
