"""Progress that is reported at every step, and the task of the tests by its name."""

import pytest

import relaxit
from tests.training.chooser import Chooser


@pytest.fixture
def report_each_step(monkeypatch):
    monkeypatch.setattr("relaxit.training.trainer.REPORT_SECONDS", -1.0)


@pytest.fixture
def chooser_registered(tmp_path, monkeypatch):
    """The task of the tests by its name, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    relaxit.register(Chooser)
    yield
    relaxit.unregister(Chooser)
