"""Sizes that follow from a tensor, and other names of the structures."""

from __future__ import annotations

import pytest
import torch
from subset_helpers import normal, seed

import relaxit
from relaxit import ConfigurationError

NAMES = pytest.mark.parametrize("name", ["subset", "subset-plackett-luce"])


@NAMES
@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 1, 5), (0, 5)])
def test_number_of_items_is_the_last_size(name, shape):
    cls = relaxit.relaxations()[name]
    assert cls.sizes(torch.Size(shape)) == {"n": 5}
    for each in cls.examples():
        assert cls.sizes(torch.Size((2, *each.param_shape)))["n"] == each.options.n


@NAMES
def test_a_scalar_has_no_sizes(name):
    assert relaxit.relaxations()[name].sizes(torch.Size()) == {}


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("top-k", "subset"),
        ("k-subset", "subset"),
        ("k-hot", "subset"),
        ("conditional-poisson", "subset"),
        ("gumbel-top-k", "subset-plackett-luce"),
        ("top-k-plackett-luce", "subset-plackett-luce"),
        ("plackett-luce-subset", "subset-plackett-luce"),
    ],
)
def test_aliases(alias, name):
    assert relaxit.get(alias, n=5, k=2) == relaxit.get(name, n=5, k=2)
    assert alias not in relaxit.relaxations()


@pytest.mark.parametrize("constructor", ["Subset", "TopK", "SubsetPlackettLuce", "GumbelTopK"])
def test_constructors_take_the_size_of_the_tensor(constructor):
    logits = normal(3, 5)
    q = getattr(relaxit, constructor)(logits, k=2, temperature=0.5)
    assert q.relaxation.options.n == 5
    want = q.relaxation(logits, 0.5).rsample((), seed(1))
    assert torch.equal(q.rsample((), seed(1)), want)
    with pytest.raises(ConfigurationError, match="k"):
        getattr(relaxit, constructor)(logits)
