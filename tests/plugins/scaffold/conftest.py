"""An empty directory for each test, and the package of the template in it."""

import importlib
import os
import sys

import pytest

from relaxit.plugins import scaffold


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Each test in an empty directory, with none of the user's environment."""
    for key in [key for key in os.environ if key.startswith("RELAXIT_")]:
        monkeypatch.delenv(key)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def demo(tmp_path, monkeypatch):
    """The class in a package as generated, imported as an installed one would be."""
    package = scaffold.new_plugin("demo", tmp_path)
    monkeypatch.syspath_prepend(str(package / "src"))
    yield importlib.import_module("relaxit_demo.hooks").relaxit_relaxations()[0]
    for name in [name for name in sys.modules if name.partition(".")[0] == "relaxit_demo"]:
        del sys.modules[name]
