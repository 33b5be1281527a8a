"""Padded lists under Plackett-Luce: all quantities are those of the lists without pads."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from permutation_helpers import ALL_DTYPES, INF, close, listed, normal, seed
from plackett_luce_oracles import distribution, entropy_of, kl_of, log_masses, mean_of
from torch import Tensor
from torch.distributions import kl_divergence

import relaxit
from relaxit.testing import count_values, wrong_frequencies, wrong_mean
from relaxit_permutation.plackett_luce.permutation_plackett_luce import PermutationPlackettLuce

N = 5
MASKS = torch.tensor(
    [[1, 1, 1, 0, 0], [0, 0, 1, 1, 1], [0, 1, 0, 1, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 0]]
).bool()
RELAXATIONS = pytest.mark.parametrize("relaxation", ["softsort", "neuralsort"])
LOST = math.log(1e-300)


def padded(scale: float = 1.0) -> Tensor:
    return (scale * normal(len(MASKS), N)).masked_fill(~MASKS, -INF)


def places(mask: Tensor) -> Tensor:
    """Items, then pads, each in the order of their index."""
    return torch.cat([mask.nonzero().squeeze(-1), (~mask).nonzero().squeeze(-1)])


def spread(values: Tensor, mask: Tensor) -> Tensor:
    """Matrices of the items ``[..., m, m]`` as those of the padded list ``[..., N, N]``."""
    m = values.shape[-1]
    whole = torch.eye(N, dtype=values.dtype).expand(*values.shape[:-2], N, N).clone()
    whole[..., :m, :m] = values
    return whole[..., :, places(mask).argsort()]


@pytest.mark.parametrize("scale", [0.0, 1.0, 10.0, 1e4])
def test_quantities_are_those_without_pads(scale):
    params = padded(scale)
    q = PermutationPlackettLuce(n=N)(params)
    found = q.discrete
    masses = found.log_prob(found.enumerate_support())
    assert not bool(masses.isnan().any())
    mean, entropy, bound, mode = found.mean, found.entropy(), q.kl_to_uniform(), found.mode
    for i, mask in enumerate(MASKS):
        m = int(mask.sum())
        missing = math.lgamma(N + 1) - math.lgamma(m + 1)
        if m == 0:
            close(mean[i], torch.eye(N), 0)
            close(entropy[i], torch.zeros(()), 0)
            close(bound[i], torch.tensor(missing), 1e-6)
            continue
        log = log_masses(params[i, mask])
        close(entropy[i], entropy_of(log.clamp_min(LOST)), 1e-10)
        close(bound[i], math.lgamma(N + 1) - entropy_of(log.clamp_min(LOST)), 1e-5)
        close(mean[i], spread(mean_of(log), mask), 1e-10)
        alone = distribution(params[i, mask])
        close(mode[i], spread(alone.mode, mask), 0)
        # The orders of the items with the pads behind, and no others.
        orders = alone.enumerate_support()
        close(found.log_prob(spread(orders, mask).unsqueeze(1))[:, i], log, 1e-9, 1e-12)
        possible = masses[:, i] > -INF
        assert int(possible.sum()) == math.factorial(m)
        close(masses[possible, i].exp().sum(), torch.ones(()), 1e-12)


def test_divergences():
    params, other = padded(), padded(2.0).flip(0)[[4, 3, 2, 1, 0]] + 0.3
    got = kl_divergence(distribution(params), distribution(other))
    for i, mask in enumerate(MASKS[:-1]):
        logs = log_masses(params[i, mask]), log_masses(other[i, mask])
        close(got[i], kl_of(*logs), 1e-10)
    close(got[-1], torch.zeros(()), 0)
    # From a list with fewer items: finite. From one with more: some orders are impossible there.
    whole = torch.zeros(len(MASKS), N, dtype=torch.float64)
    q = PermutationPlackettLuce(n=N)(params)
    close(kl_divergence(q.discrete, distribution(whole)), q.kl_to_uniform(), 1e-10)
    assert bool((kl_divergence(distribution(whole), q.discrete) == INF).all())
    assert bool((distribution(whole).kl_estimate(q.discrete, 5)[0] == INF).all())
    more = padded()[1].masked_fill(torch.tensor([1, 1, 1, 0, 0]).bool(), -INF)
    assert float(kl_divergence(distribution(padded()[1]), distribution(more))) == INF
    # In the other list the last pad comes before the second last.
    assert float(kl_divergence(distribution(more), distribution(padded()[1]))) == INF


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_divergences_of_all_patterns_of_pads(n):
    patterns = torch.tensor(list(itertools.product([False, True], repeat=n)))
    params, other = (normal(len(patterns), n, number=k).masked_fill(patterns, -INF) for k in (3, 4))
    p, q = distribution(params.unsqueeze(1)), distribution(other)
    orders = listed(n, n).view(-1, 1, 1, n, n)
    mass, other_mass = p.log_prob(orders), q.log_prob(orders)
    terms = torch.where(mass > -INF, mass.exp() * (mass - other_mass), 0.0)
    want = terms.sum(0)
    assert bool(want.isinf().any()) == (n > 1)
    close(p.kl(q), want, 1e-10)
    estimate, error = p.kl_estimate(q, 500, seed(1))
    assert torch.equal(estimate.isinf(), want.isinf())
    # 1e-5 false alarms for all 256 pairs: 5.5 standard errors.
    finite = want.isfinite()
    assert bool(((estimate - want).abs() <= 5.5 * error + 1e-9)[finite].all())
    for i, j in itertools.product(range(len(patterns)), repeat=2):
        alone = distribution(params[i]).kl(distribution(other[j]))  # may know of no pads
        close(alone, want[i, j], 1e-10)


@RELAXATIONS
def test_samples(relaxation):
    params, draws = padded(), 20_000
    q = PermutationPlackettLuce(n=N, relaxation=relaxation)(params, 0.5)
    soft, hard = q.draw((draws,), seed(1))
    discrete = q.discrete.sample((draws,), seed(2))
    for i, mask in enumerate(MASKS[:3]):
        m = int(mask.sum())
        orders = distribution(params[i, mask]).enumerate_support()
        log = log_masses(params[i, mask])
        for drawn in (hard[:, i], discrete[:, i]):
            counts = count_values(drawn, spread(orders, mask))
            wrong = wrong_frequencies(counts, log.exp())
            assert not wrong, wrong
        # The soft sample is that of the items, and pads are never mixed in.
        assert not soft[:, i, :m][..., ~mask].any()
        close(soft[:, i, m:], spread(torch.eye(m).double(), mask)[m:].expand(draws, -1, -1), 0)
        assert torch.equal(q.hard(soft[:, i]), hard[:, i])
    close(soft[:, 4], torch.eye(N).expand(draws, N, N), 0)


@RELAXATIONS
@ALL_DTYPES
def test_soft_samples_of_the_same_scores(relaxation, dtype):
    noisy = (padded() + normal(len(MASKS), N, number=9)).to(dtype)
    structure = PermutationPlackettLuce(n=N, relaxation=relaxation)
    found = structure.relax(noisy.to(torch.float32), 0.3)
    for p, row, mask in zip(found, noisy, MASKS, strict=True):
        if mask.any():
            alone = PermutationPlackettLuce(n=int(mask.sum()), relaxation=relaxation)
            want = spread(alone.relax(row[mask].to(torch.float32), 0.3), mask)
            close(p, want, 1e-6)


def test_perturbed_scores_given_the_order():
    params = padded()
    structure = PermutationPlackettLuce(n=N)
    hard = structure(params).sample_hard((3,), seed(1))
    scores = structure.perturb_given(params, hard, torch.Size((50,)), seed(2))
    assert bool((scores == -INF).eq(~MASKS).all())
    assert torch.equal(structure.argmax(scores), hard.expand(50, -1, -1, -1, -1))


@pytest.mark.parametrize("estimator", ["reinforce", "rloo", "st-gumbel", "pathwise", "relax"])
def test_gradients_of_estimators(estimator):
    params = padded().requires_grad_()
    state_of = relaxit.estimator(estimator)
    q = PermutationPlackettLuce(n=N)(params, 0.5)
    weights = normal(N, N, number=4)

    def cost(z: Tensor) -> Tensor:
        return (z * weights).sum((-2, -1)).square()

    arguments = {}
    if hasattr(state_of, "init_state"):
        arguments["state"] = state_of.init_state(q)
    loss = state_of.surrogate(q, cost, generator=seed(3), **arguments)
    (slope,) = torch.autograd.grad(loss.sum(), params)
    assert bool(slope.isfinite().all())
    assert not slope[~MASKS].any()
    assert bool(slope[MASKS][:9].any())


def test_exact_gradients_are_those_without_pads():
    params = padded().requires_grad_()
    q = PermutationPlackettLuce(n=N)(params)
    order = q.sample_hard((7,), seed(1))
    for name, ask in {
        "entropy": lambda d, v: d.entropy(),
        "mass": lambda d, v: d.log_prob(v).sum(0),
        "mean": lambda d, v: (d.mean * v).sum((0, -2, -1)),
    }.items():
        (slope,) = torch.autograd.grad(ask(q.discrete, order).sum(), params)
        assert not slope[~MASKS].any(), name
        for i, mask in enumerate(MASKS[:4]):
            m = int(mask.sum())
            row = params[i, mask].detach().requires_grad_()
            value = order[:, i, :m][..., mask]
            (want,) = torch.autograd.grad(ask(distribution(row), value).sum(), row)
            close(slope[i, mask], want, 1e-10, what=name)


def test_many_items():
    n, m = 30, 20
    mask = torch.arange(n) % 3 != 1
    scores = (0.5 * normal(2, n)).masked_fill(~mask, -INF)
    q, alone = PermutationPlackettLuce(n=n)(scores), PermutationPlackettLuce(n=m)(scores[:, mask])
    close(q.discrete.mean[:, :m, mask], alone.discrete.mean, 1e-9)
    missing = math.lgamma(n + 1) - math.lgamma(m + 1)
    close(q.kl_to_uniform() - missing, alone.kl_to_uniform(), 1e-9)
    none = PermutationPlackettLuce(n=n)(torch.full((n,), -INF).double()).kl_to_uniform()
    close(none, torch.tensor(math.lgamma(n + 1)), 1e-4)
    got, want = q.discrete.entropy_estimate(2000, seed(1)), alone.discrete.entropy_estimate(2000)
    close(got[0] - want[0], torch.zeros(2), 6 * float((got[1] + want[1]).max()))
    mass = q.discrete.log_prob(q.discrete.sample((5,), seed(2)))
    assert bool((mass > -INF).all())


def test_transforms():
    params = padded()

    def every(row: Tensor, order: Tensor) -> Tensor:
        q = PermutationPlackettLuce(n=N)(row)
        masses = q.discrete.log_prob(torch.stack([order, torch.eye(N).double()]))
        return torch.cat([masses, q.discrete.entropy().view(1), q.discrete.mean.flatten()])

    hard = distribution(params).sample((), seed(1))
    looped = torch.stack([every(*row) for row in zip(params, hard, strict=True)])
    close(torch.func.vmap(every)(params, hard), looped, 1e-12)
    row = params[0]

    def loss(v: Tensor) -> Tensor:
        return distribution(v).entropy() + distribution(v).log_prob(hard[0])

    hessian = torch.func.hessian(loss)(row)
    assert bool(hessian.isfinite().all())
    inside = torch.func.hessian(
        lambda v: distribution(v).entropy() + distribution(v).log_prob(hard[0, :3, :3])
    )(row[:3])
    close(hessian[:3, :3], inside, 1e-9)


def test_loss_of_a_padded_list():
    # -log P(the first before the second) = log(1 + exp(-1.2)), whatever the padding.
    for scores in ([1.5, 0.3], [1.5, 0.3, -INF], [1.5, 0.3, -INF, -INF]):
        q = PermutationPlackettLuce(n=len(scores))(torch.tensor(scores))
        loss = -q.discrete.log_prob(torch.eye(len(scores)))
        assert round(float(loss), 4) == 0.2633


def test_estimate_of_a_cost():
    # 1e-5 false alarms: 4.4 standard errors.
    params = padded()[:1].expand(4000, N).clone().requires_grad_()
    q, weights = PermutationPlackettLuce(n=N)(params), normal(N, N, number=4)
    loss = relaxit.estimator("reinforce").surrogate(
        q, lambda z: (z * weights).sum((-2, -1)), generator=seed(5)
    )
    (slopes,) = torch.autograd.grad(loss.sum(), params)
    row = padded()[0, :3].requires_grad_()
    exact = (distribution(row).mean * weights[:3, :3]).sum()
    (want,) = torch.autograd.grad(exact, row)
    wrong = wrong_mean(slopes[:, :3], want)
    assert not wrong, wrong
