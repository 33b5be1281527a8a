"""Each test in an empty directory, without the user's environment."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    for key in [key for key in os.environ if key.startswith("RELAXIT_")]:
        monkeypatch.delenv(key)
    monkeypatch.chdir(tmp_path)
