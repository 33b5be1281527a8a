"""What params multiply, and named parts, as every relaxation has them."""

from __future__ import annotations

import pytest
import torch

import relaxit
from relaxit import ConfigurationError, ShapeError, Unsupported
from tests.helpers import relaxations_with, structures
from tests.toy_relaxations import Cube, Rows


class Pairs(Cube):
    """A value has four numbers, params have two parts."""

    name = "test-pairs"
    parts = {"one": torch.Size([4]), "two": torch.Size([2, 4])}
    param_shape = torch.Size([12])


ALIKE = [r for r in structures() if r.param_shape == r.event_shape]


@pytest.mark.parametrize("relaxation", [*ALIKE, Rows(), Cube()], ids=repr)
def test_statistics_are_the_value_where_shapes_agree(relaxation):
    value = torch.rand(3, *relaxation.event_shape)
    assert torch.equal(relaxation.statistics(value), value)
    assert torch.equal(relaxation.from_statistics(value), value)


@pytest.mark.parametrize("attempt", ["statistics", "from_statistics"])
def test_statistics_are_unsupported_where_shapes_differ(attempt):
    with pytest.raises(Unsupported) as error:
        getattr(Pairs(), attempt)(torch.zeros(4))
    assert str(error.value).startswith(f"test-pairs has no {attempt}, ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "relaxation", [r for r in relaxations_with("exponential_family") if r in ALIKE], ids=repr
)
def test_masses_are_exponentials_of_scores(relaxation):
    params = torch.randn(relaxation.param_shape, dtype=torch.float64)
    values = relaxation.enumerate_vertices().double()
    scores = (relaxation.statistics(values) * params).reshape(len(values), -1).sum(-1)
    mass = relaxation.discrete(params).log_prob(values)
    torch.testing.assert_close(mass, scores.log_softmax(0))


def test_parts_of_a_relaxation():
    pairs = Pairs()
    params = pairs.join(one=torch.arange(4.0), two=torch.ones(5, 1, 4))
    assert params.shape == (5, 12)
    parts = pairs.split(params)
    assert torch.equal(parts["one"], torch.arange(4.0).expand(5, 4))
    assert torch.equal(parts["two"], torch.ones(5, 2, 4))
    with pytest.raises(ConfigurationError, match="test-pairs: params have the parts one, two"):
        pairs.join(one=torch.zeros(4), three=torch.zeros(3))
    with pytest.raises(ShapeError, match="test-pairs: part 'one' must be"):
        pairs.join(one=torch.zeros(3), two=torch.zeros(()))
    with pytest.raises(ShapeError, match="test-pairs"):
        pairs.split(torch.zeros(11))


def test_most_relaxations_have_no_parts():
    binary = relaxit.get("binary")
    assert dict(binary.parts) == {}
    for attempt in (lambda: binary.join(one=torch.zeros(3)), lambda: binary.split(torch.zeros(()))):
        with pytest.raises(ConfigurationError, match="binary: params have no parts"):
            attempt()
