"""The registry: what plugins provide, and classes that are registered while it is in use."""

from __future__ import annotations

from pathlib import Path

import pytest

import relaxit
from relaxit import PluginError, UnknownName
from relaxit.hooks import OWN_DISTRIBUTION
from relaxit.plugins import registry
from relaxit.plugins.registry import Registry
from tests.plugins.written_plugins import (
    ESTIMATOR,
    assert_others_work,
    ours,
    pick,
    plugin_named,
    with_good,
)
from tests.toy_relaxations import Rows


def test_built_in_plugins_come_through_entry_points():
    assert {p.dist.name for p in ours()} == {OWN_DISTRIBUTION}
    found = Registry(ours(), {})
    assert_others_work(found)
    assert plugin_named(found, "categorical").provides == {
        "relaxation": ["categorical", "binary"],
        "function": ["gumbel_softmax"],
        "benchmark": [
            "categorical-soft",
            "categorical-sample",
            "categorical-straight-through",
            "categorical-hard",
            "categorical-density",
            "gumbel-softmax-function",
            "estimator-time",
        ],
        "problem": ["powers", "polynomial-cost"],
    }
    assert {p.state for p in found.plugins} == {"ok"}
    found.require_sound()
    assert Registry([], {}).items("relaxation") == {}
    assert type(relaxit.get("binary")) is found.find("relaxation", "binary")


def test_installed_registry_is_found_and_sound():
    found = registry.default_registry()
    assert_others_work(found)
    assert found is registry.default_registry()
    assert found.provider("relaxation", "binary").distribution == OWN_DISTRIBUTION


def test_a_good_plugin(install):
    found = with_good(*install("relaxit-pick", "2.5", pick=pick(), mine=ESTIMATOR))
    plugin = plugin_named(found, "pick")
    assert (plugin.state, plugin.distribution, plugin.version) == ("ok", "relaxit-pick", "2.5")
    assert plugin.target.startswith("plugin_")
    assert plugin.provides == {"relaxation": ["pick"]}
    assert found.find("relaxation", "pick") is found.find("relaxation", "relaxit-pick:pick")
    assert found.provider("estimator", "mine") is plugin_named(found, "mine")
    found.require_sound()
    assert_others_work(found)


def test_recipes_are_files(install):
    source = """
    from pathlib import Path
    from relaxit import hookimpl

    @hookimpl
    def relaxit_recipes():
        return [Path("/somewhere/my-recipe.toml")]
    """
    found = with_good(*install("a", plug=source))
    assert found.items("recipe") == {"my-recipe": Path("/somewhere/my-recipe.toml")}


class Session(Rows):
    name = "test-session"


@pytest.fixture
def session():
    relaxit.register(Session)
    yield Session
    relaxit.unregister(Session)


def test_register(session):
    assert relaxit.get("test-session", rows=4) == Session(rows=4)
    assert relaxit.relaxations()["test-session"] is Session
    assert relaxit.get("session:test-session") == Session()


def test_unregister():
    plugins = list(registry.default_registry().plugins)
    assert relaxit.register(Session) is Session
    relaxit.unregister(Session)
    assert registry.default_registry().plugins == plugins
    with pytest.raises(UnknownName):
        relaxit.get("test-session")
    relaxit.register(Session)  # and again
    relaxit.unregister(Session)


@pytest.fixture
def fresh(monkeypatch):
    """A registry of its own, so that what a failure leaves behind stays in the test."""
    own = Registry(ours(), {})
    monkeypatch.setattr(registry, "default_registry", lambda: own)
    return own


def test_register_twice(fresh):
    relaxit.register(Session)
    with pytest.raises(PluginError, match="already registered"):
        relaxit.register(Session)
    assert relaxit.get("test-session") == Session()
    fresh.require_sound()
    relaxit.unregister(Session)
    with pytest.raises(UnknownName):
        relaxit.get("test-session")


def test_rejected_registration_of_a_taken_name_leaves_no_trace(fresh):
    class Clash(Rows):
        name = "categorical"

    with pytest.raises(PluginError, match="categorical"):
        relaxit.register(Clash)
    assert relaxit.get("categorical", categories=3)
    fresh.require_sound()


def test_rejected_registration_of_a_bad_class_leaves_no_trace(fresh):
    class Future(Rows):
        name = "test-future"
        api = 99

    for bad in (Future, int):
        with pytest.raises(PluginError):
            relaxit.register(bad)
    fresh.require_sound()
    with pytest.raises(UnknownName):
        relaxit.get("test-future")
    Future.api = 1
    relaxit.register(Future)
    assert relaxit.get("test-future")
