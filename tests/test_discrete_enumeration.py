"""``has_enumerate_support`` says whether ``enumerate_support`` works."""

from __future__ import annotations

import pytest
import torch

import relaxit
from relaxit import Unsupported
from tests.helpers import params_for
from tests.own_relaxations import DISCRETE
from tests.test_discrete import Listed, Row


class Counted(Listed):
    listings = 0

    def _enumerate_support(self):
        type(self).listings += 1
        return super()._enumerate_support()


class TooMany(Listed):
    def _enumerate_support(self):
        if self.event_shape[0] > 3:
            raise Unsupported("too many values")
        return super()._enumerate_support()


def distribution(cls, categories=3):
    return cls(relaxit.get("categorical", categories=categories), torch.zeros(2, categories))


@DISCRETE
def test_it_is_announced_where_it_works(relaxation):
    distribution = relaxation.discrete(params_for(relaxation, 2))
    assert distribution.has_enumerate_support is True
    assert distribution.expand((3, 2)).has_enumerate_support is True
    assert len(distribution.enumerate_support()) > 1
    relaxed = relaxation(params_for(relaxation, 2))
    assert relaxed.has_enumerate_support is False
    with pytest.raises(Unsupported):
        relaxed.enumerate_support()


@pytest.mark.parametrize(
    ("cls", "categories", "announced"),
    [(Row, 3, False), (Listed, 3, True), (TooMany, 3, True), (TooMany, 4, False)],
)
def test_it_is_found_out(cls, categories, announced):
    found = distribution(cls, categories)
    assert found.has_enumerate_support is announced
    if not announced:
        with pytest.raises(NotImplementedError):
            found.enumerate_support()


def test_it_is_found_out_once_per_relaxation():
    for _ in range(3):
        assert distribution(Counted).has_enumerate_support
    assert Counted.listings == 1


def test_many_categories_are_not_listed_to_find_out():
    many = relaxit.get("categorical", categories=10**7)
    assert many(torch.zeros(1).expand(10**7)).discrete.has_enumerate_support


def test_distributions_of_torch_pass_it_on():
    listed = distribution(Listed)
    assert torch.distributions.Independent(listed, 0).has_enumerate_support
    assert not torch.distributions.Independent(listed, 1).has_enumerate_support
