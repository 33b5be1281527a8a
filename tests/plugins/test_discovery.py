"""Environment variables choose the plugins that are loaded."""

from __future__ import annotations

import sys

import pytest

from relaxit.plugins.registry import Registry
from tests.plugins.written_plugins import ours, pick


@pytest.mark.parametrize(
    ("environ", "on"),
    [
        ({}, {"ours", "a", "b"}),
        ({"RELAXIT_PLUGINS": ""}, {"ours", "a", "b"}),
        ({"RELAXIT_PLUGINS": "a"}, {"ours", "a"}),
        ({"RELAXIT_PLUGINS": " a , b "}, {"ours", "a", "b"}),
        ({"RELAXIT_PLUGINS": "dist-b"}, {"ours", "b"}),
        ({"RELAXIT_PLUGINS": "none"}, {"ours"}),
        ({"RELAXIT_DISABLE_PLUGINS": "a"}, {"ours", "b"}),
        ({"RELAXIT_DISABLE_PLUGINS": "dist-a,b"}, {"ours"}),
        ({"RELAXIT_DISABLE_PLUGINS": "categorical"}, {"a", "b"}),
        ({"RELAXIT_PLUGINS": "a,b", "RELAXIT_DISABLE_PLUGINS": "b"}, {"ours", "a"}),
    ],
)
def test_environment(install, environ, on):
    points = [*install("dist-a", a=pick("pa")), *install("dist-b", b=pick("pb"))]
    found = Registry([*points, *ours()], environ)
    names = {"categorical": "ours", "pa": "a", "pb": "b"}
    assert {names[n] for n in found.items("relaxation") if n in names} == on
    off = {"a", "b", "categorical"} - on - ({"categorical"} if "ours" in on else set())
    assert {p.name for p in found.plugins if p.state == "disabled"} == off
    found.require_sound()


def test_disabled_plugin_is_not_imported(install):
    points = install("dist-a", a="raise RuntimeError")
    assert Registry(points, {"RELAXIT_DISABLE_PLUGINS": "a"}).plugins[0].state == "disabled"
    assert points[0].value not in sys.modules


def test_environment_is_the_process_one_by_default(install, monkeypatch):
    monkeypatch.setenv("RELAXIT_PLUGINS", "none")
    assert Registry(install("dist-a", a=pick())).items("relaxation") == {}
