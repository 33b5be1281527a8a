"""An empty directory without the user's environment, and a finished run."""

from __future__ import annotations

import os

import pytest

from relaxit.cli.app import run
from tests.cli.short_runs import SMALL


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, tmp_path_factory, monkeypatch):
    """Each test in an empty directory, with a wide terminal and none of the user's environment."""
    for key in [key for key in os.environ if key.startswith("RELAXIT_")]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("RELAXIT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A finished run, which tests leave as it is."""
    path = tmp_path_factory.mktemp("runs") / "run"
    assert run(["train", *SMALL, "--out", str(path), "--quiet"]) == 0
    return path
