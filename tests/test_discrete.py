"""What the base class adds to a discrete distribution that only has formulas."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import kl_divergence

import relaxit
from relaxit import DiscreteDistribution, ShapeError, Unsupported
from tests.helpers import DTYPES, seed


class Row(DiscreteDistribution):
    """A category, written naively and without ``values`` and ``kl``."""

    def _log_prob(self, value):
        assert value.dtype == self.scores.dtype
        return (value * self.scores.log_softmax(-1)).sum(-1)

    def entropy(self):
        return torch.special.entr(self.scores.softmax(-1)).sum(-1)

    def _mean(self):
        return self.scores.softmax(-1)

    def _mode(self):
        return torch.nn.functional.one_hot(self.scores.argmax(-1), 3)

    def _sample(self, shape, generator=None):
        assert not torch.is_grad_enabled()
        index = torch.rand(shape + self.batch_shape, generator=generator).mul(3).long()
        return torch.nn.functional.one_hot(index, 3)


class Listed(Row):
    def _enumerate_support(self):
        return torch.eye(3, dtype=torch.int64)

    def kl(self, other):
        p = self.scores.log_softmax(-1)
        return (p.exp() * (p - other.scores.log_softmax(-1))).sum(-1)


def distribution(cls=Listed, *batch, dtype=torch.float32):
    params = torch.randn(*batch, 3, generator=seed(0)).to(dtype)
    return cls(relaxit.get("categorical", categories=3), params)


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_keep_the_dtype_and_scalars_are_wide(dtype):
    found = distribution(Listed, 4, dtype=dtype)
    value = found.sample((2,), seed(1))
    wide = torch.promote_types(dtype, torch.float32)
    for stored in (value, found.mean, found.mode, found.enumerate_support()):
        assert stored.dtype == dtype
    for scalar in (found.log_prob(value), found.entropy(), kl_divergence(found, found)):
        assert scalar.dtype == wide


def test_shapes_expand_and_enumeration():
    found = distribution(Listed, 4)
    big = found.expand((2, 4))
    assert (found.batch_shape, found.event_shape, big.batch_shape) == ((4,), (3,), (2, 4))
    assert type(big) is Listed
    assert torch.equal(big.mean[1], found.mean)
    assert found.sample((5, 2)).shape == (5, 2, 4, 3)
    assert found.sample(5).shape == (5, 4, 3)
    assert found.enumerate_support().shape == (3, 4, 3)
    assert found.enumerate_support(expand=False).shape == (3, 1, 3)


def test_a_vector_that_is_not_a_value_has_no_mass():
    values = torch.tensor([[1.0, 0, 0], [0.5, 0.5, 0], [1, 1, 0]])
    mass = distribution().log_prob(values)
    assert bool(mass[0].isfinite())
    assert mass[1:].tolist() == [-torch.inf, -torch.inf]


def test_wrong_value_shape_is_named():
    with pytest.raises(ShapeError, match=r"categorical.*\[\*, 3\].*\[2\]"):
        distribution().log_prob(torch.zeros(2))


def test_the_generator_decides():
    found = distribution(Listed, 20)
    assert torch.equal(found.sample((), seed(3)), found.sample((), seed(3)))
    assert not torch.equal(found.sample((), seed(3)), found.sample((), seed(4)))


def test_what_is_not_written_is_unsupported():
    bare = distribution(Row)
    with pytest.raises(Unsupported, match="values of Categorical"):
        bare.enumerate_support()
    with pytest.raises(Unsupported, match="no KL divergence"):
        kl_divergence(bare, bare)
    other = Listed(relaxit.get("categorical", categories=2), torch.zeros(2))
    with pytest.raises(Unsupported, match=r"categories=3.*categories=2"):
        kl_divergence(distribution(), other)


def test_values_broadcast_against_a_batch_of_one():
    q = relaxit.get("categorical", categories=3)(torch.zeros(1, 3)).discrete
    assert q.log_prob(torch.eye(3)[[0, 1, 2, 0, 1]]).shape == (5,)
