"""Functions of a tensor: any dimension, dtype, mask and temperature, against row by row."""

from __future__ import annotations

import pytest
import torch
from scipy.optimize import brentq
from subset_helpers import DTYPES, INF, close, listed, mean_of, normal, poisson, race, seed

import relaxit
from relaxit.testing import count_values, wrong_frequencies
from relaxit_subset import sample_subset, soft_topk

BOTH = pytest.mark.parametrize("function", [soft_topk, sample_subset])
DISTRIBUTIONS = pytest.mark.parametrize("distribution", ["subset", "subset-plackett-luce"])


def by_root(row, k, temperature):
    """The soft indicator of one row in float64: the shift is found by bisection."""
    free, ones = row.isfinite(), int((row == INF).sum())
    t = row[free].double() / temperature
    if not 0 < k - ones < len(t):
        chosen = torch.full_like(t, float(k > ones))
    else:
        c = brentq(
            lambda c: float(torch.sigmoid(t - c).sum()) - (k - ones),
            float(t.min()) - 40,
            float(t.max()) + 40,
            xtol=1e-14,
        )
        chosen = torch.sigmoid(t - c)
    return (row == INF).double().masked_scatter(free, chosen)


# --- soft_topk --------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.1, 1.0, 20.0])
@pytest.mark.parametrize(("n", "k"), [(1, 0), (1, 1), (4, 0), (4, 2), (4, 4), (9, 1), (9, 8)])
def test_rows_equal_the_root(n, k, temperature):
    scores = normal(5, n) * 2
    got = soft_topk(scores, k, temperature)
    close(got, torch.stack([by_root(row, k, temperature) for row in scores]), 1e-10)


@pytest.mark.parametrize("dim", [0, 1, 2, -1, -2, -3])
def test_any_dimension(dim):
    scores = normal(4, 5, 6)
    got = soft_topk(scores, 3, 0.5, dim=dim)
    assert got.shape == scores.shape
    close(got, soft_topk(scores.movedim(dim, -1), 3, 0.5).movedim(-1, dim), 0)
    close(got.sum(dim), torch.full_like(got.sum(dim), 3.0), 1e-13)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("temperature", [1e-30, 1e-3, 0.3, 1.0, 1e4])
def test_dtypes_and_limits(dtype, temperature):
    scores = torch.linspace(-2, 2, 8)[torch.randperm(8, generator=seed(0))].repeat(3, 1).to(dtype)
    got = soft_topk(scores, 3, temperature)
    assert got.dtype == dtype
    assert bool(((got >= 0) & (got <= 1)).all())
    close(got.double().sum(-1), torch.full((3,), 3.0), 16 * torch.finfo(dtype).eps)
    best = torch.zeros_like(got).scatter(-1, scores.topk(3, -1).indices, 1.0)
    if temperature <= 1e-3:
        close(got, best, 0 if temperature < 1e-3 else 1e-100)
    if temperature == 1e4:
        close(got, torch.full((3, 8), 3 / 8), 1e-3)
    assert torch.equal(soft_topk(scores, 3, temperature), got)  # no noise


def test_equal_scores_share():
    got = soft_topk(torch.tensor([5.0, 5.0, 5.0, -100.0]), 1, 0.01)
    close(got, torch.tensor([1 / 3, 1 / 3, 1 / 3, 0.0]), 1e-6)


@pytest.mark.parametrize("dim", [0, 1])
def test_masks_leave_the_function_of_the_rest(dim):
    scores = normal(6, 7)
    allowed = torch.tensor([
        [1, 1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0, 0], [0, 1, 0, 1, 0, 1, 1],
        [0, 0, 0, 0, 1, 1, 1], [1, 1, 1, 1, 1, 1, 0], [0, 1, 1, 1, 1, 1, 1],
    ]).bool()  # fmt: skip
    along, mask = (scores, allowed) if dim == 1 else (scores.T, allowed.T)
    got = soft_topk(along, 2, 0.7, dim=dim, mask=mask)
    rows = got if dim == 1 else got.T
    for row, score, here in zip(rows, scores, allowed, strict=True):
        assert not bool(row[~here].any())
        close(row[here], soft_topk(score[here], 2, 0.7), 1e-13)
    one_mask = allowed[2] if dim == 1 else allowed[2].unsqueeze(-1)  # broadcast over the batch
    got = soft_topk(along, 2, 0.7, dim=dim, mask=one_mask)
    close(got.sum(dim), torch.full((6,), 2.0), 1e-13)


def test_infinite_scores_are_decided():
    rows = torch.tensor([[INF, 0.3, -INF, 1.0, 0.2], [0.1, -INF, -INF, -INF, 0.4]])
    got = soft_topk(rows, 2, 0.5)
    close(got, torch.stack([by_root(row, 2, 0.5) for row in rows]), 1e-6)
    assert got[0, [0, 2]].tolist() == [1, 0]


@BOTH
@pytest.mark.parametrize("shape", [(3, 4), (3, 1), (4,), (1,), ()])
def test_temperatures_of_rows(function, shape):
    scores = normal(3, 5, 4)
    tau = (normal(*shape, number=2).abs() + 0.1).requires_grad_()

    def call(temperature, scores):
        torch.manual_seed(1)
        return function(scores, 2, temperature, dim=1)

    got = call(tau, scores)
    assert torch.equal(got, call(tau.expand(3, 4), scores))
    if len(shape) == 2:
        assert torch.equal(got, call(tau.unsqueeze(1), scores))  # with size 1 at dim
    wide = tau.detach().expand(3, 4)
    torch.manual_seed(1)
    q = relaxit.get("subset", n=5, k=2)(scores.movedim(1, -1), wide)
    want = (
        q.relaxation.relax(q.params, wide.unsqueeze(-1)) if function is soft_topk else q.rsample()
    )
    close(got, want.movedim(-1, 1), 1e-14)
    (slope,) = torch.autograd.grad(got.square().sum(), tau)
    assert bool(slope.isfinite().all())
    assert bool(slope.any())


@pytest.mark.parametrize("dim", [0, 1])
def test_gradients_equal_differences(dim):
    scores = normal(4, 4).requires_grad_()
    mask = torch.ones(4, 4, dtype=torch.bool)
    mask[1, 2] = mask[3, 0] = False

    def function(s, t):
        return soft_topk(s, 2, t, dim=dim, mask=mask)

    tau = torch.tensor([0.7, 0.4, 1.0, 2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(function, (scores, tau), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function, (scores, tau))


# --- sample_subset ----------------------------------------------------------------------------


@DISTRIBUTIONS
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize(
    ("hard", "estimator"),
    [(False, None), (True, None), (False, "pathwise"), (True, "st-gumbel"), (True, "imle")],
)
def test_samples_are_those_of_the_estimator(hard, estimator, dim, dtype, distribution):
    logits = normal(3, 5, 4).to(dtype).requires_grad_()
    got = sample_subset(
        logits, 2, 0.5, hard=hard, dim=dim, estimator=estimator, distribution=distribution,
        generator=seed(3),
    )  # fmt: skip
    moved = logits.movedim(dim, -1)
    q = relaxit.get(distribution, n=logits.shape[dim], k=2)(moved, 0.5)
    chosen = relaxit.estimator(estimator or ("st-gumbel" if hard else "pathwise"))
    want = chosen.sample(q, generator=seed(3)).movedim(-1, dim)
    assert torch.equal(got, want)
    assert got.shape == logits.shape
    assert got.dtype == dtype
    upstream = normal(3, 5, 4, number=4).to(dtype)
    slopes = [torch.autograd.grad(each, logits, upstream)[0] for each in (got, want)]
    assert torch.equal(*slopes)
    assert bool(slopes[0].any())
    ones = got.movedim(dim, -1)
    assert bool((q.relaxation.vertices if hard else q.relaxation.support).check(ones).all())


@DISTRIBUTIONS
@pytest.mark.parametrize("estimator", ["simple", "straight-through"])
def test_exact_draws_follow_the_named_distribution(estimator, distribution):
    # alpha = 2e-5
    logits = torch.tensor([0.0, 1.0, -1.0, 2.0]).double()
    draws = sample_subset(
        logits.expand(20_000, 4), 2, hard=True, estimator=estimator, distribution=distribution,
        generator=seed(1),
    )  # fmt: skip
    exact = {"subset": poisson(logits, 2), "subset-plackett-luce": race(logits, 2)}
    observed = count_values(draws, listed(4, 2))
    for name, mass in exact.items():
        assert bool(wrong_frequencies(observed, mass.exp())) == (name != distribution)


def test_simple_has_the_gradient_of_the_marginals():
    logits = normal(4).requires_grad_()
    weights = normal(4, number=2)
    z = sample_subset(logits, 2, hard=True, estimator=relaxit.estimator("simple"))
    (got,) = torch.autograd.grad((z * weights).sum(), logits)
    (want,) = torch.autograd.grad(
        (mean_of(poisson(logits, 2), listed(4, 2)) * weights).sum(), logits
    )
    close(got, want, 1e-12)


def test_masks_hold_in_every_sample():
    mask = torch.tensor([[True, True, False, True, False], [False, True, True, True, True]])
    for hard in (False, True):
        z = sample_subset(torch.zeros(100, 2, 5), 2, 0.5, hard=hard, mask=mask, generator=seed(1))
        assert not bool(z[:, ~mask].any())
        close(z.sum(-1), torch.full((100, 2), 2.0), 1e-5)
        assert bool((z.mean(0) > 0.1)[mask].all())


def test_other_relaxations_and_names():
    z = sample_subset(torch.zeros(5), 2, distribution="gumbel-top-k")
    own = relaxit.get("subset", n=5, k=2)
    assert z.shape == sample_subset(torch.zeros(5), 2, distribution=own).shape
    assert relaxit.functional.soft_topk is soft_topk
    assert relaxit.functional.sample_subset is sample_subset
