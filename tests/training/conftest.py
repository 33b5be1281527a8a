"""Progress that is reported at every step, and the task of the tests by its name."""

import pytest

import relaxit
from tests.training.chooser import Chooser
from tests.training.two_choices import Rows, TwoChoices


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


@pytest.fixture
def toys_registered():
    """All tasks and data sets that exist in the tests only."""
    for each in (Chooser, TwoChoices, Rows):
        relaxit.register(each)
    yield
    for each in (Chooser, TwoChoices, Rows):
        relaxit.unregister(each)
