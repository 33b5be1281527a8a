"""The relaxed sample and its density: where it lies, what it maximises, and its special cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from subset_helpers import DTYPES, INF, close, normal, scales, seed

import relaxit
from relaxit.errors import DomainError
from relaxit.testing import wrong_distribution
from relaxit_subset.relaxed.hypersimplex import hypersimplex, k_hot

TEMPERATURES = [1e-3, 1e-2, 0.1, 0.3, 1.0, 2.0, 10.0, 1e3]
NAMES = pytest.mark.parametrize("name", ["subset", "subset-plackett-luce"])


def subset(n, k, name="subset"):
    return relaxit.get(name, n=n, k=k)


# --- where it lies ----------------------------------------------------------------------------


@NAMES
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "k"), [(1, 1), (2, 1), (5, 2), (8, 7), (4, 4), (4, 0), (100, 30)])
def test_samples_lie_in_the_hypersimplex(name, n, k, dtype):
    structure = subset(n, k, name)
    for temperature in TEMPERATURES:
        soft, hard = structure(scales(n).to(dtype), temperature).draw((20,), seed(1))
        assert soft.dtype == hard.dtype == dtype
        wide = soft.double()
        assert bool(((wide >= 0) & (wide <= 1)).all())
        # Each entry is rounded once, to half a unit of the last place.
        assert float((wide.sum(-1) - k).abs().max()) <= (k + 1) * 4 * torch.finfo(dtype).eps
        assert bool(structure.support.check(soft).all())
        assert bool(structure.vertices.check(hard).all())
        if 0 < k < n:  # inside, where the density exists
            assert bool(((wide > 0) & (wide < 1)).all())


def test_temperature_limits():
    logits = normal(50, 6)
    cold, hard = subset(6, 2)(logits, 1e-4).draw((), seed(1))
    assert float(((cold - hard).abs() < 1e-6).double().mean()) > 0.99
    close(subset(6, 2)(logits, 1e6).rsample(), torch.full((50, 6), 1 / 3).double(), 1e-5)


def test_constraints_reject_what_is_outside():
    inside = torch.tensor([[0.5, 0.5, 1.0], [1.0, 1.0, 0.0]])
    outside = torch.tensor([[0.5, 0.5, 0.5], [1.5, 0.5, 0.0], [1.1, 1.0, -0.1]])
    assert hypersimplex(2).check(inside).tolist() == [True, True]
    assert hypersimplex(2).check(outside).tolist() == [False] * 3
    assert k_hot(2).check(inside).tolist() == [False, True]
    assert not bool(k_hot(1).check(inside).any())
    assert not bool(k_hot(2).check(outside).any())
    assert not bool(hypersimplex(2).check(torch.tensor([math.nan, 1.0, 1.0])))


# --- what it is -------------------------------------------------------------------------------


def negative_objective(y, scores, temperature):
    entropy = -(y * np.log(y) + (1 - y) * np.log1p(-y)).sum()
    return -(scores @ y / temperature + entropy)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
@pytest.mark.parametrize(("n", "k"), [(3, 1), (4, 2), (5, 4)])
def test_it_maximises_score_plus_entropy(n, k, temperature):
    scores = normal(n)
    y = subset(n, k).relax(scores, temperature).numpy()
    found = minimize(
        negative_objective,
        np.full(n, k / n),
        (scores.numpy(), temperature),
        bounds=[(1e-9, 1 - 1e-9)] * n,
        constraints={"type": "eq", "fun": lambda y: y.sum() - k},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    np.testing.assert_allclose(y, found.x, atol=1e-5)
    ours = negative_objective(y, scores.numpy(), temperature)
    assert ours <= found.fun + 1e-12


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_multiplier_is_the_same_for_all_items(temperature):
    # The condition of that maximum: the slope of the objective is equal in all coordinates.
    scores = normal(4, 6)
    soft = subset(6, 2).relax(scores, max(temperature, 0.1))
    slope = scores / max(temperature, 0.1) - soft.logit()
    assert float((slope - slope.mean(-1, keepdim=True)).abs().max()) < 1e-5
    close(soft.sum(-1), torch.full((4,), 2.0).double(), 1e-14)


@pytest.mark.parametrize("temperature", [0.2, 1.0, 5.0, torch.tensor([[0.3], [2.0]]).double()])
@pytest.mark.parametrize(("n", "k"), [(2, 1), (5, 2), (4, 3)])
def test_gradient_equals_differences(n, k, temperature):
    scores = normal(2, n).requires_grad_()
    relax = subset(n, k).relax
    assert torch.autograd.gradcheck(lambda s: relax(s, temperature), scores)
    assert torch.autograd.gradgradcheck(lambda s: relax(s, temperature), scores)
    tau = torch.tensor([[0.7]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: relax(scores.detach(), t), tau)


@pytest.mark.parametrize("temperature", [0.1, 1.0, 10.0])
def test_a_constant_changes_nothing(temperature):
    scores = normal(10, 6)
    relax = subset(6, 2).relax
    close(relax(scores + 1024, temperature), relax(scores, temperature), 1e-11)
    value = relax(scores, temperature)
    one, two = (subset(6, 2)(normal(6) + c, temperature).log_prob(value) for c in (0.0, 100.0))
    close(one, two, 1e-10, 1e-10)


@pytest.mark.parametrize("temperature", [1e-3, 0.01, 1.0])
def test_large_scores_lose_no_digits_in_the_division(temperature):
    # Numbers of float32 a small distance apart, which their quotients by tau would lose.
    scores = (torch.arange(6.0) * temperature).mul(2.0**10).round().div(2.0**10) + 4096
    got = subset(6, 2).relax(scores, temperature)
    close(got, subset(6, 2).relax(scores.double(), temperature), 1e-5)


# --- two items: the Concrete distribution -----------------------------------------------------


@NAMES
@pytest.mark.parametrize("temperature", [0.05, 0.3, 1.0, 4.0])
def test_one_of_two_is_the_concrete_sample_at_twice_the_temperature(name, temperature):
    logits = normal(50, 2) * 2
    concrete = relaxit.get("categorical", categories=2)(logits, 2 * temperature)
    q = subset(2, 1, name)(logits, temperature)
    soft = concrete.rsample((4,), seed(1))
    close(q.rsample((4,), seed(1)), soft, 1e-13)
    # Both densities are with respect to the first entry.
    inside = normal(50, 2, number=2).softmax(-1)
    close(q.log_prob(inside), concrete.log_prob(inside), 1e-11, 1e-11)
    # That of twice the temperature, and of no other.
    assert (
        float(
            (
                subset(2, 1, name)(logits, 2 * temperature).log_prob(inside)
                - concrete.log_prob(inside)
            )
            .abs()
            .max()
        )
        > 0.1
    )


# --- density ----------------------------------------------------------------------------------


def numeric_density(logits, k, temperature, value):
    """Log-density with respect to the first n - 1 entries, from the noise itself.

    The n Gumbel densities at ``tau (logit y + c) - theta`` are integrated over the shift c by the
    trapezoidal rule; the Jacobian of (y_1 ... y_{n-1}, c) is computed by autograd.
    """
    n = len(logits)

    def scores(free):  # the scores without their shift
        y = torch.cat([free, k - free.sum(-1, keepdim=True)])
        return temperature * y.logit()

    jacobian = torch.autograd.functional.jacobian(scores, value[:-1])
    whole = torch.cat([jacobian, torch.ones(n, 1, dtype=torch.float64)], -1)
    shift = torch.linspace(-60, 60, 24001, dtype=torch.float64)
    g = scores(value[:-1]).unsqueeze(-1) - logits.unsqueeze(-1) + shift
    log = (-g - (-g).exp()).sum(0)
    return log.logsumexp(0) + math.log(120 / 24000) + torch.linalg.slogdet(whole)[1]


@NAMES
@pytest.mark.parametrize("temperature", [0.3, 1.0, 3.0])
@pytest.mark.parametrize(("n", "k"), [(2, 1), (4, 1), (5, 3), (6, 2)])
def test_density_equals_that_of_the_noise(name, n, k, temperature):
    logits = normal(n)
    value = subset(n, k).relax(normal(5, n, number=2), 1.0)
    got = subset(n, k, name)(logits, temperature).log_prob(value)
    want = torch.stack([numeric_density(logits, k, temperature, y) for y in value])
    close(got, want, 1e-9, 1e-9)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 5.0])
def test_samples_follow_the_density(temperature):
    # tau (x_i - x_j) - (theta_i - theta_j) is a difference of two Gumbels. alpha = 2e-5.
    logits = normal(5)
    soft = subset(5, 2)(logits, temperature).rsample((20_000,), seed(2))
    x = soft.logit()
    for i in range(4):
        gap = temperature * (x[:, i] - x[:, 4])
        assert not wrong_distribution(gap - (logits[i] - logits[4]), "logistic")
        assert wrong_distribution(gap - (logits[i] - logits[4]) - 0.1, "logistic")


def test_density_of_the_log_space_differs_by_the_jacobian():
    q = subset(5, 2)(normal(7, 5), 0.6)
    x = q.log_space.rsample((), seed(1))
    soft = q.relaxation.from_log_space(x)
    close(soft, q.rsample((), seed(1)), 1e-13)
    v = soft * (1 - soft)
    jacobian = v.sum(-1).log() - v.log().sum(-1)
    close(q.log_prob(soft), q.log_space.log_prob(x) + jacobian, 1e-11, 1e-11)


@NAMES
@pytest.mark.parametrize("temperature", [0.3, 1.0, 3.0])
def test_masked_and_forced_items_drop_out(name, temperature):
    logits = torch.tensor([0.3, -INF, 1.0, INF, -0.5, 0.1], dtype=torch.float64)
    free = logits.isfinite()
    q = subset(6, 3, name)(logits, temperature)
    small = subset(4, 2, name)(logits[free], temperature)
    soft = q.rsample((50,), seed(1))
    assert not bool(soft[:, 1].any())
    assert bool((soft[:, 3] == 1).all())
    close(soft[:, free].sum(-1), torch.full((50,), 2.0).double(), 1e-13)
    close(q.log_prob(soft), small.log_prob(soft[:, free]), 1e-12, 1e-12)
    x = q.log_space.rsample((50,), seed(1))
    close(q.log_space.log_prob(x), small.log_space.log_prob(x[:, free]), 1e-12, 1e-12)
    leaf = logits.clone().requires_grad_()
    value = subset(6, 3, name)(leaf, temperature)
    total = value.log_prob(soft).sum() + value.rsample((3,), seed(1)).square().sum()
    (slope,) = torch.autograd.grad(total, leaf)
    assert bool(slope.isfinite().all())
    assert not bool(slope[~free].any())


@NAMES
def test_rows_without_a_choice_have_density_one(name):
    decided = [[0.3, -INF, 1.0, -INF], [INF, 0.0, INF, -1.0], [-INF, INF, -INF, 0.0]]
    logits = torch.tensor([*decided, [0.3, 0.2, 0.1, 0.0]], dtype=torch.float64)
    q = subset(4, 2, name)(logits, 0.5)
    soft = q.rsample((), seed(1))
    assert soft[:3].tolist() == [[1, 0, 1, 0], [1, 0, 1, 0], [0, 1, 0, 1]]
    assert q.log_prob(soft)[:3].tolist() == [0, 0, 0]
    assert float(q.log_prob(soft)[3]) != 0
    for k in (0, 3):
        q = subset(3, k, name)(torch.zeros(2, 3), 0.5)
        assert q.log_prob(q.rsample()).tolist() == [0, 0]


@NAMES
def test_what_disobeys_a_mask_has_no_density(name):
    logits = torch.tensor([0.3, -INF, 1.0, INF], dtype=torch.float64)
    wrong = torch.tensor([[0.5, 0.5, 0.5, 0.5], [0.25, 0.5, 0.25, 1.0], [0.9, 0.0, 0.2, 0.9]])
    q = relaxit.get(name, n=4, k=2)(logits, 0.5, validate_args=False)
    assert q.log_prob(wrong.double()).tolist() == [-INF] * 3
    right = torch.tensor([0.4, 0.0, 0.6, 1.0]).double()
    assert math.isfinite(float(q.log_prob(right)))


def test_vertices_have_no_density():
    q = subset(4, 2)(torch.zeros(4), 0.5)
    with pytest.raises(DomainError, match="no density"):
        q.log_prob(torch.tensor([1.0, 1.0, 0.0, 0.0]))


@pytest.mark.parametrize(
    ("scores", "temperature"), [(1e6, 0.01), (1e4, 1e-4), (1e5, 1e-4), (3e38, 1.0)]
)
def test_sums_hold_where_scores_are_huge(scores, temperature):
    # The middle of two scores is rounded, and a low temperature magnifies what that loses.
    q = relaxit.get("subset", n=4, k=1)(torch.full((4,), scores), temperature)
    soft = q.rsample((20_000,), seed(0))
    assert bool(q.support.check(soft).all())
