"""Sources of plugins to install, and registries of them and of our own."""

from __future__ import annotations

from importlib import metadata

import pytest

from relaxit import PluginError
from relaxit.plugins.registry import Registry

RELAXATION = """
import torch
from relaxit import Capabilities, PerturbAndRelax, constraints, hookimpl

class Pick(PerturbAndRelax):
    api = {api}
    name = {name!r}
    capabilities = Capabilities(density=False, discrete_distribution=False, exact_rounding=True)
    event_shape = param_shape = torch.Size([3])
    support, vertices = constraints.simplex, constraints.one_hot

    def relax(self, scores, temperature):
        return torch.softmax(scores / temperature, -1)

    def argmax(self, scores):
        return torch.eye(3)[scores.argmax(-1)]
"""
HOOK = """
@hookimpl
def relaxit_relaxations():
    return [Pick]
"""
ESTIMATOR = """
from relaxit import hookimpl
from relaxit.estimators.pathwise import Pathwise

class Mine(Pathwise):
    api = 1
    name = "mine"

@hookimpl
def relaxit_estimators():
    return [Mine]
"""


def pick(name="pick", api=1, hook=HOOK):
    return RELAXATION.format(name=name, api=api) + hook


def ours():
    found = metadata.entry_points(group="relaxit.plugins")
    return [p for p in found if p.name in ("categorical", "estimators")]


def with_good(*points):
    """A registry of our own plugins and these."""
    return Registry([*points, *ours()], {})


def plugin_named(found, name):
    (plugin,) = [p for p in found.plugins if p.name == name]
    return plugin


def assert_others_work(found):
    assert {"binary", "categorical"} <= set(found.items("relaxation"))
    assert {"pathwise", "st-gumbel", "straight-through"} <= set(found.items("estimator"))
    assert found.find("relaxation", "categorical")(categories=3)


def broken(found, name, *words):
    plugin = plugin_named(found, name)
    assert plugin.state == "broken"
    text = " | ".join(plugin.problems)
    assert all(word in text for word in words), text
    assert_others_work(found)
    with pytest.raises(PluginError):
        found.require_sound()
    return plugin
