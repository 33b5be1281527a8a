"""KL divergences between our distributions and those of torch, against sums over all values."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import (
    Bernoulli,
    Categorical,
    Independent,
    OneHotCategorical,
    OneHotCategoricalStraightThrough,
    kl_divergence,
)

import relaxit
from relaxit import ShapeError

WIDE = torch.float64
ROWS = torch.tensor(
    [
        [0.1, 0.2, 0.3, 0.4],
        [0.25, 0.25, 0.25, 0.25],
        [0.0, 0.0, 0.5, 0.5],
        [1.0, 0.0, 0.0, 0.0],
        [1e-12, 0.5, 0.25, 0.25],
    ],
    dtype=WIDE,
)
BITS = torch.tensor([0.0, 1e-12, 0.1, 0.5, 0.9999, 1 - 1e-12, 1.0], dtype=WIDE)
HOW = pytest.mark.parametrize("how", ["probs", "logits"])
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
CATEGORICAL = relaxit.get("categorical", categories=4)
BINARY = relaxit.get("binary")


def divergence(p, q):
    """The sum over all values of ``p log(p / q)``, 0 where p is 0."""
    return torch.where(p > 0, p * (p.log() - q.log()), 0.0).sum(-1)


def close(got, want):
    return torch.allclose(got.double(), want, rtol=1e-5, atol=1e-6)


@DTYPES
@HOW
@pytest.mark.parametrize("cls", [OneHotCategorical, OneHotCategoricalStraightThrough])
def test_categories(cls, how, dtype):
    rows = ROWS.to(dtype)
    given = rows if how == "probs" else rows.log()
    want = divergence(ROWS.unsqueeze(1), ROWS)
    assert want.isinf().any()
    assert not want.isnan().any()
    ours = CATEGORICAL(rows.log().unsqueeze(1)).discrete
    assert close(kl_divergence(ours, cls(**{how: given})), want)
    ours = CATEGORICAL(rows.log()).discrete
    assert close(kl_divergence(cls(**{how: given.unsqueeze(1)}), ours), want)


@DTYPES
@HOW
def test_bits(how, dtype):
    bits = BITS.to(dtype)
    given = bits if how == "probs" else bits.logit()
    both = torch.stack([1 - bits.double(), bits.double()], -1)
    want = divergence(both.unsqueeze(1), both)
    ours = BINARY(bits.double().logit().to(dtype).unsqueeze(1)).discrete
    assert close(kl_divergence(ours, Bernoulli(**{how: given})), want)
    ours = BINARY(bits.double().logit().to(dtype)).discrete
    assert close(kl_divergence(Bernoulli(**{how: given.unsqueeze(1)}), ours), want)


@DTYPES
def test_extreme_logits_are_not_taken_for_zeros(dtype):
    x = torch.linspace(-300, 300, 601, dtype=dtype)
    p, q = BINARY(x).discrete, BINARY(x - 1).discrete
    assert torch.equal(kl_divergence(p, Bernoulli(logits=x - 1)), kl_divergence(p, q))
    assert torch.equal(kl_divergence(Bernoulli(logits=x), q), kl_divergence(p, q))
    rows = torch.stack([x, torch.zeros_like(x)], -1)
    two = relaxit.get("categorical", categories=2)
    exact = kl_divergence(two(rows).discrete, two(rows.flip(-1)).discrete)
    for p, q in (
        (two(rows).discrete, OneHotCategorical(logits=rows.flip(-1))),
        (OneHotCategorical(logits=rows), two(rows.flip(-1)).discrete),
    ):
        assert torch.allclose(kl_divergence(p, q), exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("swapped", [False, True])
def test_gradients(swapped):
    """Against finite differences where all masses are positive, and finite where some are not."""
    logits = torch.randn(3, 4, dtype=WIDE, requires_grad=True)
    other = torch.randn(4, dtype=WIDE, requires_grad=True)

    def kl(a, b):
        pair = CATEGORICAL(a).discrete, OneHotCategorical(probs=b.softmax(-1))
        return kl_divergence(*(pair[::-1] if swapped else pair))

    def kl_of_bits(a, b):
        pair = BINARY(a).discrete, Bernoulli(probs=b.sigmoid())
        return kl_divergence(*(pair[::-1] if swapped else pair))

    assert torch.autograd.gradcheck(kl, (logits, other))
    assert torch.autograd.gradcheck(kl_of_bits, (logits, other))
    for function, ours, probs in (
        (CATEGORICAL, ROWS.log()[2], ROWS[2]),
        (BINARY, BITS.logit()[[0, 3, 6]], BITS[[0, 3, 6]]),
    ):
        a, b = ours.clone().requires_grad_(), probs.clone().requires_grad_()
        cls = OneHotCategorical if function is CATEGORICAL else Bernoulli
        pair = function(a).discrete, cls(probs=b)
        total = kl_divergence(*(pair[::-1] if swapped else pair)).sum()
        assert all(slope.isfinite().all() for slope in torch.autograd.grad(total, (a, b)))


def test_independent_sums():
    ours = Independent(BINARY(torch.zeros(2, 3)).discrete, 1)
    theirs = Independent(Bernoulli(torch.full((2, 3), 0.3)), 1)
    for pair in ((ours, theirs), (theirs, ours)):
        want = kl_divergence(*(each.base_dist for each in pair)).sum(-1)
        assert torch.equal(kl_divergence(*pair), want)


def test_other_values_have_no_divergence():
    ours = CATEGORICAL(torch.zeros(4)).discrete
    with pytest.raises(ShapeError, match="3 categories"):
        kl_divergence(ours, OneHotCategorical(torch.ones(3)))
    with pytest.raises(ShapeError, match="3 categories"):
        kl_divergence(OneHotCategorical(torch.ones(3)), ours)
    with pytest.raises(NotImplementedError):  # its values are numbers of categories
        kl_divergence(ours, Categorical(torch.ones(4)))
