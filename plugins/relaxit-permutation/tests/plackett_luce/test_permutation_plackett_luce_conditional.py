"""Perturbed scores given their order, and the estimators that are made of them."""

from __future__ import annotations

import itertools

import pytest
import torch
from permutation_helpers import gumbel, listed, normal, seed
from scipy import stats

import relaxit
from relaxit.estimators.base import StatefulEstimator
from relaxit.testing import ALPHA, wrong_distribution
from relaxit_permutation.plackett_luce import permutation_plackett_luce
from relaxit_permutation.plackett_luce.permutation_plackett_luce import PermutationPlackettLuce

THREE = PermutationPlackettLuce(n=3)


def same(one, other):
    return bool(stats.ks_2samp(one.detach().numpy(), other.detach().numpy()).pvalue > ALPHA)


@pytest.mark.parametrize(
    ("n", "scale", "dtype"),
    [(1, 1.0, torch.float32), (2, 30.0, torch.float32), (5, 0.0, torch.float32),
     (20, 5.0, torch.float32), (10, 1e4, torch.float32), (6, 100.0, torch.float64),
     (5, 1.0, torch.bfloat16)],
)  # fmt: skip
def test_the_order_is_the_one_given(n, scale, dtype):
    # Of all orders alike, also of those that hardly ever occur.
    relaxation = PermutationPlackettLuce(n=n)
    params = (scale * normal(4, n)).to(dtype).requires_grad_()
    hard = relaxation.argmax(normal(2000, 4, n, number=1)).to(dtype)
    scores = relaxation.perturb_given(params, hard, generator=seed(2))
    assert scores.shape == (2000, 4, n)
    assert scores.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert torch.equal(relaxation.argmax(scores.detach()), hard.to(scores.dtype))
    (slope,) = torch.autograd.grad(scores.sum(), params)
    assert bool(slope.isfinite().all())


def test_scores_that_rounding_makes_tie_still_fall(monkeypatch):
    # Noise as extreme as float32 has it: the last clocks ring at once, after a long wait.
    relaxation, order = PermutationPlackettLuce(n=4), torch.tensor([2, 0, 3, 1])
    hard = relaxation.argmax(-order.argsort().float())
    g = torch.tensor([-2.8, 16.6, 16.6, 16.6])
    monkeypatch.setattr(PermutationPlackettLuce, "noise", staticmethod(lambda *_, **__: g))
    scores = relaxation.perturb_given(torch.zeros(4), hard)
    assert torch.equal(relaxation.argmax(scores), hard)
    torch.testing.assert_close(scores, scores.max().expand(4), rtol=1e-5, atol=1e-5)
    monkeypatch.setattr(permutation_plackett_luce, "tie_corrections", torch.zeros_like)
    assert not torch.equal(relaxation.argmax(relaxation.perturb_given(torch.zeros(4), hard)), hard)


def test_over_orders_of_the_distribution_it_is_plain_noise():
    params = normal(3)
    hard = THREE.discrete(params.expand(50_000, 3)).sample(generator=seed(1))
    noise = THREE.perturb_given(params, hard, generator=seed(2)) - params
    for j in range(3):
        assert not wrong_distribution(noise[:, j], "gumbel_r")
    # Together as well: differences would see that two of them depend on each other.
    want = gumbel(50_000, 3, number=5)
    for i, j in itertools.combinations(range(3), 2):
        assert same(noise[:, i] - noise[:, j], want[:, i] - want[:, j])
        assert same(noise[:, i] + noise[:, j], want[:, i] + want[:, j])
    assert wrong_distribution(noise[:, 0] * 1.05, "gumbel_r")  # 5 % would be seen


def test_given_an_order_it_is_noise_that_happens_to_give_it():
    # By rejection: plain perturbed scores, those of one order kept.
    params = torch.tensor([0.5, -0.3, 0.1]).double()
    hard = listed(3, 3)[4]
    plain = params + gumbel(300_000, 3, number=3)
    kept = plain[(THREE.argmax(plain) == hard).flatten(1).all(-1)]
    given = THREE.perturb_given(params, hard, torch.Size((len(kept),)), seed(4))
    for j in range(3):
        assert same(given[:, j], kept[:, j])


def test_shapes():
    hard = THREE.argmax(normal(7, 2, 5, 3))
    assert THREE.perturb_given(normal(5, 3), hard).shape == (7, 2, 5, 3)
    shape = torch.Size((4,))
    assert THREE.perturb_given(normal(5, 3), hard, shape, seed(1)).shape == (4, 7, 2, 5, 3)


def test_gradient_is_that_of_differences():
    hard = THREE.argmax(normal(6, 3, number=2))
    params = normal(6, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda a: THREE.perturb_given(a, hard, (), seed(1)), params)


@pytest.mark.parametrize("name", ["reinforce", "rloo", "rebar", "relax"])
def test_estimators_are_unbiased(name):
    # Of a cost that no sum over entries gives; 4 standard errors of 3 numbers: 2e-4 of seeds.
    weights, params = normal(3, 3, number=9), normal(3)

    def cost(z):
        return ((weights * z).sum((-1, -2)) + 0.5) ** 3

    leaf = params.clone().requires_grad_()
    orders = listed(3, 3)
    mass = THREE.discrete(leaf).log_prob(orders).exp()
    (exact,) = torch.autograd.grad((mass * cost(orders)).sum(), leaf)
    estimator = relaxit.estimator(name)
    rows = params.expand(50_000, 3).clone().requires_grad_()
    value = estimator.surrogate(THREE(rows, 0.5), cost, seed(1))
    (found,) = torch.autograd.grad(value.sum(), rows)
    error = found.std(0) / len(found) ** 0.5
    assert float(((found.mean(0) - exact).abs() / error).max()) < 4
    assert isinstance(estimator, StatefulEstimator) or name == "rloo"
