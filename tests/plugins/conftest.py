"""Distributions to install for a test, and a session that no plugin file outlives."""

from __future__ import annotations

import os
import sys
from importlib import metadata
from itertools import count
from textwrap import dedent

import pytest

from relaxit.plugins import registry
from relaxit.plugins.registry import unload_file


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution: ``install("dist", plug="source", ...)`` returns its entry points.

    They are real files with real metadata, in a temporary directory on ``sys.path``.
    """
    monkeypatch.syspath_prepend(str(tmp_path))
    numbers = count()
    loaded = set(sys.modules)

    def write(distribution, /, version="1.0", **plugins):
        lines = ["[relaxit.plugins]"]
        for name, source in plugins.items():
            module = f"plugin_{tmp_path.name.replace('-', '_')}_{next(numbers)}"
            (tmp_path / f"{module}.py").write_text(dedent(source))
            lines.append(f"{name} = {module}")
        info = tmp_path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        )
        (info / "entry_points.txt").write_text("\n".join(lines))
        return list(metadata.Distribution.at(info).entry_points)

    yield write
    for name in set(sys.modules) - loaded:
        if name.startswith("plugin_"):
            del sys.modules[name]


@pytest.fixture
def fresh_session(tmp_path, monkeypatch):
    """An empty directory, which no plugin file, module or setting outlives."""
    for key in [key for key in os.environ if key.startswith("RELAXIT_")]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.chdir(tmp_path)
    plugins, modules = list(registry.default_registry().plugins), set(sys.modules)
    yield
    for plugin in registry.default_registry().plugins:
        if plugin.sha256:
            unload_file(plugin.target)
    assert registry.default_registry().plugins == plugins
    for name in set(sys.modules) - modules:
        if name.startswith("relaxit_file_"):
            del sys.modules[name]
