"""Look-up by name: names that two plugins share, and names that are unknown or broken."""

from __future__ import annotations

import pytest

import relaxit
from relaxit import PluginError, UnknownName
from relaxit.hooks import OWN_DISTRIBUTION
from relaxit.plugins.registry import Registry
from tests.plugins.written_plugins import HOOK, assert_others_work, broken, ours, pick, with_good


@pytest.mark.parametrize("turn", [False, True])
def test_one_name_from_two_distributions(install, turn):
    points = [*install("dist-a", first=pick()), *install("dist-b", second=pick())]
    found = with_good(*(reversed(points) if turn else points))
    with pytest.raises(PluginError) as caught:
        found.find("relaxation", "pick")
    for spelling in ("dist-a:pick", "dist-b:pick"):
        assert spelling in str(caught.value)
        assert found.find("relaxation", spelling)().name == "pick"
        assert spelling in found.items("relaxation")
    assert "pick" not in found.items("relaxation")
    a, b = (found.find("relaxation", f"dist-{x}:pick") for x in "ab")
    assert a is not b
    assert found.provider("relaxation", "dist-b:pick").name == "second"
    assert_others_work(found)
    with pytest.raises(PluginError, match=r"dist-a.*dist-b|dist-b.*dist-a"):
        found.require_sound()


def test_name_of_a_built_in(install):
    found = with_good(*install("dist-a", mine=pick(name="categorical")))
    with pytest.raises(PluginError, match=f"{OWN_DISTRIBUTION}:categorical or dist-a:categorical"):
        found.find("relaxation", "categorical")
    assert found.find("relaxation", f"{OWN_DISTRIBUTION}:categorical")(categories=3)
    assert found.find("relaxation", "binary")


def test_one_name_twice_in_a_distribution(install):
    twice = pick(hook=HOOK.replace("[Pick]", "[Pick, Pick]"))
    found = with_good(*install("dist-a", one=twice))
    broken(found, "one", "'pick' is registered twice by dist-a")
    assert found.find("relaxation", "pick")
    found = with_good(*install("dist-b", one=pick(), two=pick()))
    assert sorted(p.state for p in found.plugins if p.distribution == "dist-b") == ["broken", "ok"]
    assert found.find("relaxation", "pick")


def test_unknown_name():
    found = Registry(ours(), {})
    for kind, near in (("relaxation", "categorical"), ("estimator", "pathwise")):
        with pytest.raises(UnknownName) as caught:
            found.find(kind, near.replace("a", "e", 1))
        assert caught.value.exit_code == 2
        assert near in caught.value.near
        assert f"unknown {kind}" in str(caught.value)
        assert f"Did you mean {near}" in str(caught.value)
        assert isinstance(caught.value, LookupError)
        with pytest.raises(UnknownName) as caught:
            found.find(kind, "zzz")
        assert caught.value.near == ()
        assert near in str(caught.value)
    with pytest.raises(UnknownName):
        found.find("relaxation", "another-distribution:categorical")


@pytest.mark.parametrize("asked", ["bad", "worse"])
def test_name_of_a_broken_plugin(install, asked):
    # By the entry point's name or the distribution's.
    found = with_good(*install("relaxit-worse", bad="1 / 0"))
    with pytest.raises(PluginError) as caught:
        found.find("relaxation", asked)
    assert caught.value.exit_code == 5
    for part in ("'bad'", "relaxit-worse 1.0", "ZeroDivisionError"):
        assert part in str(caught.value)


def test_unknown_name_mentions_broken_plugins(install):
    found = with_good(*install("relaxit-worse", bad="1 / 0"))
    with pytest.raises(UnknownName, match=r"'bad' \(relaxit-worse 1.0\) is broken.*ZeroDivision"):
        found.find("relaxation", "something-else")


def test_functions_of_the_package():
    with pytest.raises(UnknownName, match="Did you mean categorical"):
        relaxit.get("categorcal", categories=3)
    with pytest.raises(UnknownName, match="Did you mean pathwise"):
        relaxit.estimator("pathwize")
    assert relaxit.get(f"{OWN_DISTRIBUTION}:binary") == relaxit.get("binary")
