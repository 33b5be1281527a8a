"""The distribution of `permutation-plackett-luce` against the list of all orders."""

from __future__ import annotations

import math

import pytest
import torch
from permutation_helpers import DTYPES, close, dtypes, listed, normal
from plackett_luce_oracles import (
    along,
    distribution,
    entropy_of,
    kl_of,
    log_masses,
    mean_of,
    scales,
    tolerance,
)
from torch import Tensor
from torch.distributions import kl_divergence

from relaxit_permutation.plackett_luce import rank_race
from relaxit_permutation.plackett_luce.permutation_plackett_luce import PermutationPlackettLuce


@dtypes
@pytest.mark.parametrize("n", range(1, 7))
def test_every_quantity_equals_the_sum_over_orders(n, dtype):
    scores, other = scales(n).to(dtype), scales(n, number=8).flip(0).to(dtype)
    small, got = tolerance(dtype), distribution(scores)
    mass, their = log_masses(scores), log_masses(other)
    found = got.log_prob(along(listed(n, n), scores).to(dtype))
    close(found, mass, small, 3 * small, "mass")
    close(found.double().exp().sum(0), torch.ones(2, 3).double(), 10 * small, 0, "sum")
    close(got.mean, mean_of(mass), small, 0, "marginals")
    close(rank_race.marginals(scores), mean_of(mass), small, 0, "marginals by integral")
    close(got.entropy(), entropy_of(mass), 10 * small, small, "entropy")
    close(
        kl_divergence(got, distribution(other)),
        kl_of(mass, their),
        5 * small,
        5 * small,
        "divergence",
    )
    uniform = math.log(math.factorial(n)) - entropy_of(mass)
    close(PermutationPlackettLuce(n=n).kl_to_uniform(scores), uniform, 10 * small, 0, "uniform")
    variance = mean_of(mass) * (1 - mean_of(mass))
    close(got.variance, variance, 3 * small, 0, "variance")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", [(), (4,), (2, 0), (2, 1, 3)])
def test_shapes_and_dtypes(batch, dtype):
    got = distribution(normal(*batch, 5).to(dtype))
    wide = torch.promote_types(dtype, torch.float32)
    assert got.mean.shape == got.mode.shape == got.variance.shape == (*batch, 5, 5)
    assert got.mean.dtype == got.mode.dtype == got.variance.dtype == dtype
    assert got.entropy().shape == batch
    assert got.entropy().dtype == got.log_prob(got.mode).dtype == wide
    assert got.sample((2,)).shape == (2, *batch, 5, 5)
    for found in got.entropy_estimate(3):
        assert found.shape == batch
        assert found.dtype == wide
    assert got.enumerate_support().shape == (120, *batch, 5, 5)


def test_what_a_matrix_means():
    # Three items, of which the second is by far the best, the third the worst.
    got = distribution(torch.tensor([0.0, 30.0, -30.0]))
    want = torch.tensor([[0.0, 1, 0], [1, 0, 0], [0, 0, 1]])
    assert torch.equal(got.mode, want)
    close(got.mean, want, 1e-6)
    assert torch.equal(got.sample(), want)
    close(want @ torch.tensor([0.0, 30.0, -30.0]), torch.tensor([30.0, 0.0, -30.0]), 0)
    # A score that is far away tells ranks from items: the transpose would not do.
    cycle = distribution(torch.tensor([0.0, -30.0, 30.0])).mode
    assert cycle.argmax(-1).tolist() == [2, 0, 1]


@pytest.mark.parametrize("n", range(1, 7))
def test_mode_has_the_greatest_mass(n):
    scores = scales(n)
    got = distribution(scores)
    close(got.log_prob(got.mode), log_masses(scores).amax(0), 1e-12, 1e-12)


def test_a_constant_changes_nothing():
    scores = normal(4, 5)
    one, two = distribution(scores), distribution(scores + 1000)
    close(one.mean, two.mean, 1e-12)
    close(one.entropy(), two.entropy(), 1e-11)
    close(one.log_prob(one.mode), two.log_prob(one.mode), 1e-11)
    # Equal scores are uniform to the last bit of float32, however large.
    mode = torch.eye(6)
    assert float(distribution(torch.full((6,), 1e4)).log_prob(mode)) == pytest.approx(
        -math.log(720), abs=1e-6
    )


def test_a_value_other_than_a_permutation_has_no_mass():
    got = distribution(normal(3))
    twice = torch.tensor([[0.0, 0, 1], [0, 0, 1], [1, 0, 0]]).double()
    assert float(got.log_prob(twice)) == -math.inf
    assert float(got.log_prob(torch.full((3, 3), 1 / 3).double())) == -math.inf


@pytest.mark.parametrize("n", [1, 2, 4])
def test_derivatives_equal_those_of_the_sum(n):
    scores, other = (normal(2, n) * 2).requires_grad_(), normal(2, n, number=3)
    weights = normal(math.factorial(n), 1, number=1)
    cells = normal(n, n, number=2)
    log = log_masses(scores)
    got = distribution(scores)
    pairs = {
        "mass": (weights * got.log_prob(along(listed(n, n), scores)), weights * log),
        "marginals": (got.mean * cells, mean_of(log) * cells),
        "integral": (rank_race.marginals(scores) * cells, mean_of(log) * cells),
        "entropy": (got.entropy(), entropy_of(log)),
        "divergence": (kl_divergence(got, distribution(other)), kl_of(log, log_masses(other))),
        "reverse": (kl_divergence(distribution(other), got), kl_of(log_masses(other), log)),
    }
    for what, both in pairs.items():
        slopes = [torch.autograd.grad(x.sum(), scores, create_graph=True)[0] for x in both]
        close(*slopes, 1e-11, 0, what)
        curves = [
            torch.autograd.grad(x.square().sum(), scores, retain_graph=True)[0] for x in slopes
        ]
        close(*curves, 1e-10, 0, f"{what}, second derivative")


def test_gradients_equal_differences():
    scores = normal(2, 4).requires_grad_()
    functions = [
        lambda s: distribution(s).mean,
        lambda s: distribution(s).entropy(),
        lambda s: distribution(s).log_prob(listed(4, 4)[:6].unsqueeze(1)),
        PermutationPlackettLuce(n=4).kl_to_uniform,
        rank_race.marginals,
    ]
    for function in functions:
        assert torch.autograd.gradcheck(function, scores)
        assert torch.autograd.gradgradcheck(function, scores)


def test_divergence_of_distributions_of_different_batches():
    wide, one = normal(6, 4), normal(4, number=3)
    got = kl_divergence(distribution(wide), distribution(one))
    assert got.shape == (6,)
    close(got, kl_divergence(distribution(wide), distribution(one.expand(6, 4))), 1e-14)
    assert kl_divergence(distribution(one), distribution(wide)).shape == (6,)


def test_vmap():
    scores, other = normal(3, 4), normal(3, 4, number=2)

    def every(s: Tensor, o: Tensor) -> Tensor:
        p = distribution(s)
        parts = [p.mean.flatten(), p.mode.flatten(), rank_race.marginals(s).flatten()]
        numbers = [p.entropy(), kl_divergence(p, distribution(o)), p.log_prob(distribution(o).mode)]
        return torch.cat([*parts, torch.stack(numbers)])

    got = torch.func.vmap(every)(scores, other)
    close(got, torch.stack([every(*pair) for pair in zip(scores, other, strict=True)]), 1e-13)
    slope = torch.func.vmap(torch.func.grad(lambda s: distribution(s).entropy()))(scores)
    assert bool(slope.any(-1).all())

    def estimate(s: Tensor) -> Tensor:
        return torch.stack(distribution(s).entropy_estimate(20))

    both = torch.func.vmap(estimate, randomness="same")(scores[:1].expand(2, 4))
    assert torch.equal(both[0], both[1])
    assert bool(both[:, 1].all())


@pytest.mark.parametrize("relaxation", ["softsort", "neuralsort"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_one_item_has_one_order(relaxation, dtype):
    leaf = normal(3, 1).to(dtype).requires_grad_()
    q = PermutationPlackettLuce(n=1, relaxation=relaxation)(leaf, 0.3)
    one = torch.ones(3, 1, 1, dtype=dtype)
    for value in (*q.draw(), q.discrete.mean, q.discrete.mode, q.discrete.sample(), q.hard(one)):
        assert torch.equal(value, one)
    zeros = torch.stack(
        [
            q.discrete.entropy(),
            q.kl_to_uniform(),
            q.discrete.log_prob(one),
            kl_divergence(q.discrete, q.discrete),
            *q.discrete.entropy_estimate(2),
        ]
    )
    assert not bool(zeros.any())
    (slope,) = torch.autograd.grad(zeros.sum() + q.rsample().sum() + q.discrete.mean.sum(), leaf)
    assert not bool(slope.any())
