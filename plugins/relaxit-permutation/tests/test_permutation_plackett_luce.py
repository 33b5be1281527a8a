"""The law of `permutation-plackett-luce` against the list of all orders, and its conformance.

The oracles use nothing of the package: orders are listed with itertools, their masses multiplied up
choice by choice from the definition, and differentiated by autograd.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from permutation_helpers import close
from scipy import optimize, stats
from torch import Tensor
from torch.distributions import kl_divergence

from relaxit.testing import (
    ALPHA,
    cases,
    count_values,
    parametrize_with_checks,
    results,
    wrong_frequencies,
)
from relaxit_permutation import PlackettLuce
from relaxit_permutation.plackett_luce import lattice, rank_race
from relaxit_permutation.plackett_luce.permutation_plackett_luce import PermutationPlackettLuce

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
LONG = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
COMPILES = "compiled_equals_eager"


def seed(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def normal(*shape: int, number: int = 7, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=seed(number), dtype=torch.float64).to(dtype)


def scales(n: int, number: int = 7) -> Tensor:
    """Scores ``[2, 3, n]``: equal, nearly equal, ordinary, large, very large, of two extremes."""
    x = normal(6, n, number=number)
    sizes = torch.tensor([0.0, 0.01, 1.0, 10.0, 1e4], dtype=torch.float64).unsqueeze(-1)
    return torch.cat([x[:5] * sizes, 50 * x[5:].sign()]).view(2, 3, n)


def orders(n: int) -> list[tuple[int, ...]]:
    return list(itertools.permutations(range(n)))


def matrices(n: int) -> Tensor:
    """All permutation matrices ``[N, n, n]``: row i has its one at the item of rank i."""
    found = torch.zeros(math.factorial(n), n, n, dtype=torch.float64)
    for number, order in enumerate(orders(n)):
        for place, item in enumerate(order):
            found[number, place, item] = 1
    return found


def log_masses(scores: Tensor) -> Tensor:
    """Log-mass ``[N, *batch]`` of every order: a softmax over those left, for each choice."""
    scores = scores.double()
    found = []
    for order in orders(scores.shape[-1]):
        left, log = list(order), torch.zeros(scores.shape[:-1], dtype=torch.float64)
        while left:
            log = log + scores[..., left].log_softmax(-1)[..., 0]
            left.pop(0)
        found.append(log)
    return torch.stack(found)


def mean_of(log: Tensor) -> Tensor:
    """Marginals ``[*batch, n, n]`` of log-masses ``[N, *batch]``."""
    n = next(n for n in range(9) if math.factorial(n) == len(log) and n)
    return torch.einsum("s...,sij->...ij", log.exp(), matrices(n))


def entropy_of(log: Tensor) -> Tensor:
    return -(log.exp() * log).sum(0)


def kl_of(log: Tensor, other: Tensor) -> Tensor:
    return (log.exp() * (log - other)).sum(0)


def along(values: Tensor, scores: Tensor) -> Tensor:
    """Values ``[N, n, n]`` as ``[N, 1, ..., 1, n, n]``, to broadcast against a batch."""
    return values.view(-1, *(1,) * (scores.dim() - 1), *values.shape[-2:])


def distribution(scores: Tensor) -> PlackettLuce:
    return PermutationPlackettLuce(n=scores.shape[-1]).discrete(scores)


def tolerance(dtype: torch.dtype) -> float:
    return 1e-12 if dtype == torch.float64 else 1e-6


def wrong_orders(values: Tensor, log: Tensor) -> str:
    """What is wrong with matrices ``[M, n, n]``, given the log-masses of all orders."""
    return wrong_frequencies(count_values(values, matrices(values.shape[-1])), log.exp())


# --- mass, marginals, entropy, divergences ------------------------------------------------------


@LONG
@pytest.mark.parametrize("n", range(1, 7))
def test_every_quantity_equals_the_sum_over_orders(n, dtype):
    scores, other = scales(n).to(dtype), scales(n, number=8).flip(0).to(dtype)
    small, got = tolerance(dtype), distribution(scores)
    mass, their = log_masses(scores), log_masses(other)
    found = got.log_prob(along(matrices(n), scores).to(dtype))
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


@LONG
@pytest.mark.parametrize("n", [8, 13])
@pytest.mark.parametrize("scale", [0.0, 0.01, 1.0, 10.0, 50.0, 1e4])
def test_two_exact_roads_to_the_marginals(n, scale, dtype):
    scores = normal(2, n).mul(scale).to(dtype)
    by_sets, by_integral = lattice.marginals(scores.double()), rank_race.marginals(scores)
    close(by_integral, by_sets, tolerance(dtype))
    close(distribution(scores).mean, by_sets, tolerance(dtype))


@LONG
@pytest.mark.parametrize("n", [20, 60])
def test_marginals_of_many_items(n, dtype):
    # No oracle lists these: the first row is the softmax, the last but for that of its sum, equal
    # items share evenly, and both margins are 1.
    ones, small = torch.ones(n).double(), tolerance(dtype)
    for scale in (0.0, 3.0, 100.0):
        scores = normal(n).mul(scale).to(dtype)
        p = distribution(scores).mean.double()
        close(p[0], scores.double().softmax(-1), small)
        close(p.sum(-1), ones, n * small / 10)
        close(p.sum(-2), ones, n * small / 10)
    close(distribution(torch.zeros(n, dtype=dtype)).mean, ones.expand(n, n) / n, small)


def test_integral_in_parts_is_the_whole(monkeypatch):
    scores = normal(3, 5)
    want = rank_race.marginals(scores)
    monkeypatch.setattr(rank_race, "_MOST_NUMBERS", 3 * 5**3 * 7)  # seven points at a time
    close(rank_race.marginals(scores), want, 1e-14)


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


def test_what_is_no_permutation_has_no_mass():
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
        "mass": (weights * got.log_prob(along(matrices(n), scores)), weights * log),
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
        lambda s: distribution(s).log_prob(matrices(4)[:6].unsqueeze(1)),
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


# --- draws --------------------------------------------------------------------------------------


def wrong_distributions(scores: Tensor) -> dict[str, Tensor]:
    """Log-masses of laws that are easily taken for this one."""
    right = log_masses(scores)
    back = dict(zip(orders(len(scores)), right, strict=True))
    inverse = [back[tuple(int(i) for i in np.argsort(order))] for order in orders(len(scores))]
    return {
        "ascending": torch.stack([back[order[::-1]] for order in orders(len(scores))]),
        "transposed": torch.stack(inverse),
        "too cold": log_masses(scores * 1.1),
        "from the last on": torch.stack(
            [mass for order in orders(len(scores)) for mass in [_from_the_last(scores, order)]]
        ),
    }


def _from_the_last(scores: Tensor, order: tuple[int, ...]) -> Tensor:
    """The worst is chosen first, in proportion to exp(-score): another law of orders."""
    return sum((-scores[list(order[: m + 1])]).log_softmax(-1)[-1] for m in range(len(order)))


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_draws_and_hard_values_follow_the_mass(n):
    scores = normal(n, number=4) * 1.5
    structure, mass = PermutationPlackettLuce(n=n), log_masses(scores)
    drawn = structure.discrete(scores).sample((40_000,), seed(1))
    assert not wrong_orders(drawn, mass)
    for temperature in (0.1, 5.0):
        assert not wrong_orders(structure(scores, temperature).draw((40_000,), seed(2))[1], mass)
    assert not wrong_orders(
        structure(scores.float(), 1.0).draw((40_000,), seed(3))[1].double(), mass
    )
    for name, wrong in wrong_distributions(scores).items():
        same = n == 2 and name in ("transposed", "from the last on")  # there they are this law
        assert (not wrong_orders(drawn, wrong)) == same, name


def test_frequencies_of_many_items_are_the_marginals():
    # n = 14: by the integral. alpha = ALPHA in all.
    scores = normal(14)
    p = distribution(scores).mean
    drawn = distribution(scores).sample((20_000,), seed(1)).mean(0)
    spread = (p * (1 - p) / 20_000).sqrt() + 1e-4
    bound = stats.norm.isf(ALPHA / 2 / 14**2)
    assert float(((drawn - p) / spread).abs().max()) < bound
    assert float(((drawn.T - p) / spread).abs().max()) > bound


def test_rows_of_a_batch_are_independent():
    both = distribution(torch.zeros(2, 2)).sample((20_000,), seed(1))[..., 0, 0]
    joint = torch.bincount((2 * both[:, 0] + both[:, 1]).long(), minlength=4)
    assert not wrong_frequencies(joint, torch.ones(4))


# --- estimates ----------------------------------------------------------------------------------


@LONG
def test_estimates_are_within_their_errors(dtype):
    # 16 estimates; 4.5 standard errors are passed by chance at a rate of 1e-4 in all.
    scores = torch.stack([normal(6) * scale for scale in (0.1, 1.0, 3.0, 10.0)]).to(dtype)
    other = normal(4, 6, number=3).to(dtype)
    p, q = distribution(scores), distribution(other)
    pairs = [
        (p.entropy_estimate(4000, seed(1)), p.entropy()),
        (p.kl_estimate(q, 4000, seed(2)), kl_divergence(p, q)),
        (q.kl_estimate(p, 4000, seed(3)), kl_divergence(q, p)),
        (
            p.kl_estimate(distribution(torch.zeros_like(scores)), 4000, seed(4)),
            p.relaxation.kl_to_uniform(scores),
        ),
    ]
    for (estimate, error), exact in pairs:
        assert bool((error > 0).all())
        assert float(((estimate - exact) / error).abs().max()) < 4.5
        assert bool((error < 0.05 * (1 + exact)).all())


def test_standard_error_is_the_spread_of_estimates():
    # With 4 samples: to divide by 4 instead of 3 would show. The spread of 20 000 is known to about
    # 1 %.
    scores = normal(5) * 2
    estimate, error = distribution(scores.expand(20_000, 5)).entropy_estimate(4, seed(1))
    known = error.square().mean().sqrt()
    assert float(known / estimate.std()) == pytest.approx(1, abs=0.04)
    _, longer = distribution(scores).entropy_estimate(4 * 10_000, seed(1))
    assert float(longer / known) == pytest.approx(1 / 100, rel=0.1)


def test_estimates_of_equal_scores_have_no_noise():
    got, error = distribution(torch.zeros(30).double()).entropy_estimate(5)
    assert float(got) == pytest.approx(math.lgamma(31), abs=1e-11)
    assert float(error) < 1e-11
    same, error = distribution(normal(9)).kl_estimate(distribution(normal(9)), 5)
    assert float(same) == float(error) == 0


@pytest.mark.parametrize("which", ["entropy", "divergence"])
def test_estimates_have_the_exact_gradient_on_average(which):
    scores, rows = normal(4) * 1.5, 20_000
    leaf = scores.expand(rows, 4).clone().requires_grad_()
    one = scores.clone().requires_grad_()
    other = distribution(normal(4, number=3))
    if which == "entropy":
        total, exact = (
            distribution(leaf).entropy_estimate(3, seed(1))[0].sum(),
            distribution(one).entropy(),
        )
    else:
        total = distribution(leaf).kl_estimate(other, 3, seed(1))[0].sum()
        exact = kl_divergence(distribution(one), other)
    slopes, (want,) = torch.autograd.grad(total, leaf)[0], torch.autograd.grad(exact, one)
    off = (slopes.mean(0) - want) / (slopes.std(0) / rows**0.5)
    assert float(off.abs().max()) < 4.8  # of 4: alpha = 1e-5
    # It is far from zero, and the comparison means something.
    assert float(want.abs().max() / (slopes.std(0) / rows**0.5).max()) > 20


def test_estimates_of_different_batches():
    one, wide = distribution(normal(5)), distribution(normal(3, 5, number=2))
    for p, q in ((one, wide), (wide, one)):
        got, error = p.kl_estimate(q, 5000, seed(1))
        assert got.shape == error.shape == (3,)
        assert float(((got - kl_divergence(p, q)) / error).abs().max()) < 4.5


# --- the bound for training ---------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 4, 6])
def test_bound_of_the_divergence(n, monkeypatch):
    structure = PermutationPlackettLuce(n=n)
    scores = torch.cat([normal(25, n) * s for s in (1e-3, 0.1, 1.0, 5.0)])
    exact = structure.kl_to_uniform(scores)
    assert structure.kl_is_exact
    monkeypatch.setattr("relaxit_permutation.plackett_luce.permutation_plackett_luce.MOST_EXACT", 0)
    assert not structure.kl_is_exact
    bound = structure.kl_to_uniform(scores)
    assert bool((bound >= exact - 1e-13).all())
    if n > 1:
        assert bool((bound[25:] > exact[25:]).all())  # it is the bound, and not the sum
    small = scores[:25] - scores[:25].mean(-1, keepdim=True)
    close(bound[:25], small.square().sum(-1) / 2, 1e-7)
    close(structure.kl_to_uniform(scores + 3), bound, 1e-11, 1e-11)
    close(structure.kl_to_uniform(torch.zeros(n)), torch.zeros(()), 1e-6)


def test_bound_is_that_of_the_noise():
    # KL between Gumbels at s + c and at 0, by quadrature, minimal over c.
    scores = normal(13) * 0.7
    x = torch.linspace(-40, 60, 20_001, dtype=torch.float64)

    def gumbel(at: Tensor) -> Tensor:
        return -(x - at.unsqueeze(-1)) - torch.exp(-(x - at.unsqueeze(-1)))

    def divergence(shift: float) -> float:
        p = gumbel(scores + shift)
        return float((p.exp() * (p - gumbel(torch.zeros(1).double()))).sum() * 100 / 20_000)

    best = optimize.minimize_scalar(divergence, bounds=(-5, 5), method="bounded").fun
    got = float(PermutationPlackettLuce(n=13).kl_to_uniform(scores))
    assert got == pytest.approx(best, abs=1e-5)


def test_exact_up_to_twelve():
    exact = {n: PermutationPlackettLuce(n=n).kl_is_exact for n in (1, 12, 13, 40)}
    assert exact == {1: True, 12: True, 13: False, 40: False}
    zeros = torch.zeros(12, dtype=torch.float64)
    assert float(distribution(zeros).entropy()) == pytest.approx(math.lgamma(13), abs=1e-12)
    leaf = normal(13).requires_grad_()
    bound = PermutationPlackettLuce(n=13)(leaf).kl_to_uniform()
    estimate, error = distribution(leaf).kl_estimate(
        distribution(torch.zeros(13).double()), 500, seed(1)
    )
    assert float(bound.detach()) > float((estimate + 4 * error).detach())
    (slope,) = torch.autograd.grad(bound, leaf)
    assert bool(slope.isfinite().all())
    assert float(slope.sum()) == pytest.approx(0, abs=1e-12)


# --- conformance --------------------------------------------------------------------------------


def without(decorator, *dropped):
    """The decorator of the kit, less the checks whose names end a test's."""
    name, params = decorator.args
    ends = tuple(f"-{each}" for each in dropped)
    kept = [param for param in params if not str(param.id).endswith(ends)]
    assert len(kept) < len(params), "nothing is dropped"
    return pytest.mark.parametrize(name, kept)


@without(parametrize_with_checks(PermutationPlackettLuce.examples()), COMPILES)
def test_conformance(check):
    check()


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


@pytest.mark.slow
def test_it_compiles():
    for structure in PermutationPlackettLuce.examples():
        (case,) = cases(structure)
        (result,) = results(case, only=[COMPILES])
        assert result.outcome == "pass", result.reason


@pytest.mark.slow
def test_batches_of_any_size_share_a_graph():
    n = 13  # marginals by the integral
    structure = PermutationPlackettLuce(n=n)

    def every(scores: Tensor) -> Tensor:
        soft = structure(scores, 0.5).draw(generator=None)[0]
        kl = structure(scores).kl_to_uniform()
        return structure.discrete(scores).mean + structure.hard(soft) * 0 + kl[..., None, None]

    torch._dynamo.reset()
    compiled = torch.compile(every, fullgraph=True, backend="aot_eager")
    for batch in (7, 9):
        close(compiled(normal(batch, n)), every(normal(batch, n)), 1e-12)
    with torch.compiler.set_stance("fail_on_recompile"):
        close(compiled(normal(11, n)), every(normal(11, n)), 1e-12)
