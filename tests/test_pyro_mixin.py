"""Pyro accepts distributions as they are: enumerated, broadcast by plates, masked, transformed."""

from __future__ import annotations

import abc
import sys
import types

import pytest
import torch
from torch.distributions import Distribution

from relaxit.pyro_mixin import join_pyro


class Mixin(abc.ABC):  # noqa: B024
    """What Pyro's mixin looks like from outside."""

    def __call__(self, sample_shape=()):
        return self.sample(sample_shape)

    def to_event(self):
        return "of the mixin"

    def mask(self):
        return "of the mixin"


@pytest.fixture
def pyro_like(monkeypatch):
    """A module under the name of Pyro's, of which nothing else is there."""
    module = types.ModuleType("pyro.distributions.torch_distribution")
    module.TorchDistributionMixin = Mixin
    monkeypatch.setitem(sys.modules, module.__name__, module)


def fresh():
    """A new class of distributions with a subclass."""

    class Always(Distribution):
        def sample(self, sample_shape=()):
            return torch.ones(sample_shape)

        def mask(self):
            return "its own"

    class Sub(Always):
        def to_event(self):
            return "of the subclass"

    return Always, Sub


@pytest.mark.usefixtures("pyro_like")
def test_a_class_joins_once_and_keeps_what_it_has():
    always, sub = fresh()
    assert not issubclass(sub, Mixin)
    for _ in range(2):
        join_pyro(always)
    assert issubclass(sub, Mixin)
    assert isinstance(always(validate_args=False), Mixin)
    one, other = always(validate_args=False), sub(validate_args=False)
    assert one((2,)).tolist() == other((2,)).tolist() == [1, 1]
    assert (one.to_event(), one.mask()) == ("of the mixin", "its own")
    assert (other.to_event(), other.mask()) == ("of the subclass", "its own")


def test_nothing_happens_without_pyro(monkeypatch):
    monkeypatch.delitem(sys.modules, "pyro.distributions.torch_distribution", raising=False)
    always, _ = fresh()
    before = dict(vars(always))
    join_pyro(always)
    assert dict(vars(always)) == before


@pytest.mark.usefixtures("pyro_like")
def test_nothing_happens_while_pyro_is_still_being_imported():
    del sys.modules["pyro.distributions.torch_distribution"].TorchDistributionMixin
    always, _ = fresh()
    join_pyro(always)
    assert not issubclass(always, Mixin)
