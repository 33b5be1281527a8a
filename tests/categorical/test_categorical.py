"""The Concrete distribution against torch and quadrature."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import integrate
from torch.distributions import RelaxedOneHotCategorical

import relaxit
from relaxit.errors import DomainError, ShapeError
from relaxit.testing import wrong_distribution, wrong_mean
from tests.categorical.logits import INF, categorical, interior, logits_of
from tests.helpers import DTYPES, seed

ROWS = torch.tensor([0.2, 0.5, 1.0, 3.0, 30.0], dtype=torch.float64)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0, 2.0, 10.0, ROWS])
@pytest.mark.parametrize("size", [2, 3, 10])
def test_log_prob_equals_torch(size, temperature):
    logits, value = logits_of(5, size), interior(7, 5, size)
    got = categorical(size)(logits, temperature).log_prob(value)
    assert got.shape == (7, 5)
    rows = torch.as_tensor(temperature, dtype=torch.float64).expand(5)
    for i, tau in enumerate(rows):  # torch's temperature does not broadcast to the batch
        theirs = RelaxedOneHotCategorical(tau, logits=logits[i])
        torch.testing.assert_close(got[:, i], theirs.log_prob(value[:, i]), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("temperature", [0.01, 0.5, 1.0, 10.0])
@pytest.mark.parametrize("size", [2, 3, 10])
def test_log_space_equals_torch(size, temperature):
    logits = logits_of(5, size)
    distribution = categorical(size)(logits, temperature).log_space
    x = distribution.rsample((7,), seed(0))
    tau = torch.tensor(temperature, dtype=torch.float64)
    theirs = RelaxedOneHotCategorical(tau, logits=logits).base_dist
    torch.testing.assert_close(distribution.log_prob(x), theirs.log_prob(x), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(x.logsumexp(-1), torch.zeros(7, 5).double(), rtol=0, atol=1e-10)


def test_density_is_unchanged_by_a_constant_on_the_logits():
    value = interior(5, 4)
    a, b = (categorical(4)(logits_of(5, 4) + shift, 0.7).log_prob(value) for shift in (0.0, 5.0))
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_finite_at_low_temperature_where_torch_is_not():
    logits = logits_of(1000, 10, dtype=torch.float32)
    q = categorical(10)(logits, 0.01)
    assert bool(q.log_prob(q.sample((), seed(0))).isfinite().all())
    theirs = RelaxedOneHotCategorical(torch.tensor(0.01), logits=logits, validate_args=False)
    lost = ~theirs.log_prob(theirs.sample()).isfinite()
    assert float(lost.float().mean()) > 0.99


@pytest.mark.parametrize("temperature", [1e-3, 0.01, 0.5, 10.0])
def test_log_space_is_the_log_of_the_soft_value(temperature):
    q = categorical(5)(logits_of(50, 5), temperature)
    x, soft = q.log_space.rsample((), seed(0)), q.rsample((), seed(0))
    torch.testing.assert_close(q.relaxation.from_log_space(x), soft, rtol=1e-9, atol=1e-300)
    # The densities differ by the Jacobian, wherever the soft value does not underflow.
    if temperature >= 0.5:
        gap = q.log_space.log_prob(x) - x.sum(-1)
        torch.testing.assert_close(q.log_prob(soft), gap, rtol=1e-9, atol=1e-9)


def mass_of_two(distribution, temperature):
    """Integral of a density on the 1-simplex, over t = logit y."""

    def density(t):
        value = torch.tensor([t, -t], dtype=torch.float64).sigmoid()
        return float((distribution.log_prob(value) + value.log().sum()).exp())

    end = 40 / temperature
    return integrate.quad(density, -end, end, points=[0], limit=400)[0]


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0, 2.0, 10.0])
def test_density_of_two_categories_integrates_to_one(temperature):
    q = categorical(2)(torch.tensor([0.3, -0.9], dtype=torch.float64), temperature)
    assert mass_of_two(q, temperature) == pytest.approx(1, abs=1e-7)


def grid_of_three(temperature):
    """Points t of the plane, softmax([t, 0]) and the area a point stands for."""
    step = 0.4
    axis = torch.arange(-45, 45, step, dtype=torch.float64) / temperature
    t = torch.cartesian_prod(axis, axis)
    x = torch.cat([t, torch.zeros(len(t), 1, dtype=torch.float64)], -1).log_softmax(-1)
    return x, (step / temperature) ** 2


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0, 2.0, 10.0])
def test_density_of_three_categories_integrates_to_one(temperature):
    q = categorical(3)(torch.tensor([0.3, -0.9, 1.0], dtype=torch.float64), temperature)
    x, area = grid_of_three(temperature)
    # |dy/dt| = y1 y2 y3. In log space the formula is the density of t itself, the log-ratios
    # x_i - x_K, here and in torch.
    if temperature >= 0.5:
        total = float((q.log_prob(x.exp()) + x.sum(-1)).exp().sum()) * area
        assert total == pytest.approx(1, abs=1e-7)
    total = float(q.log_space.log_prob(x).exp().sum()) * area
    assert total == pytest.approx(1, abs=1e-7)


def test_quadrature_sees_a_wrong_constant():
    class Mutant:
        """Forgets (K - 1) log tau."""

        def log_prob(self, value):
            return q.log_prob(value) - math.log(0.5)

    q = categorical(2)(torch.zeros(2, dtype=torch.float64), 0.5)
    assert abs(mass_of_two(Mutant(), 0.5) - 1) > 0.5


def standardised(x, logits, temperature):
    """tau (x_0 - x_i) - (a_0 - a_i), a standard logistic number for each i > 0."""
    return temperature * (x[..., :1] - x[..., 1:]) - (logits[..., :1] - logits[..., 1:])


@pytest.mark.parametrize("temperature", [0.3, 1.0, 5.0])
@pytest.mark.parametrize("space", ["soft", "log"])
def test_samples_follow_the_density(space, temperature):
    logits = logits_of(4)
    q = categorical(4)(logits, temperature)
    x = q.sample((50_000,), seed(5)).log() if space == "soft" else q.log_space.rsample((50_000,))
    for i in range(3):
        assert not wrong_distribution(standardised(x, logits, temperature)[:, i], "logistic")
        assert wrong_distribution(standardised(x, logits, 2 * temperature)[:, i], "logistic")
        assert wrong_distribution(
            standardised(x, logits + 0.1 * torch.arange(4), temperature)[:, i], "logistic"
        )


def kl_of_two(p, q):
    """KL divergence of two relaxed distributions of two categories, by quadrature over logit y."""

    def term(t):
        x = torch.tensor([t, -t], dtype=torch.float64)
        x = torch.nn.functional.logsigmoid(x)
        log_p, log_q = p.log_space.log_prob(x), q.log_space.log_prob(x)
        return float(log_p.exp() * (log_p - log_q))

    return integrate.quad(term, -150, 150, points=[0], limit=400)[0]


def kl_terms(p, q, draws=100_000):
    x = p.log_space.rsample((draws,), seed(6))
    return p.log_space.log_prob(x) - q.log_space.log_prob(x)


def test_kl_by_sampling_equals_quadrature():
    # alpha = 2e-5.
    a, b = logits_of(2), logits_of(2, number=4)
    p, q = categorical(2)(a, 0.5), categorical(2)(b, 0.8)
    exact = kl_of_two(p, q)
    assert exact > 0.05
    assert not wrong_mean(kl_terms(p, q), exact)
    assert wrong_mean(kl_terms(p, categorical(2)(b, 1.6)), exact)
    assert wrong_mean(kl_terms(p, categorical(2)(b + torch.tensor([0.1, 0.0]), 0.8)), exact)


@pytest.mark.parametrize(
    "row",
    [[-INF, -INF, -INF], [torch.nan, 0, 0], [INF, 0, 0], [INF, INF, -INF], [torch.nan, -INF, 0]],
)
def test_illegal_logits(row):
    with pytest.raises(DomainError, match="1 of 2"):
        categorical(3)(torch.tensor([row, [0.0, 0.0, -INF]]))


@pytest.mark.parametrize(
    "row", [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [-0.1, 0.6, 0.5], [0.5, 0.9, 0.3]]
)
def test_no_density_outside_the_open_simplex(row):
    with pytest.raises(DomainError):
        categorical(3)(torch.zeros(3)).log_prob(torch.tensor(row))


def test_own_samples_are_never_rejected():
    for dtype in DTYPES:
        for temperature in (1e-3, 0.1, 1.0, 1e3):
            q = categorical(10)(logits_of(500, 10, dtype=dtype), temperature)
            assert bool(q.log_prob(q.sample()).isfinite().all())


@pytest.mark.parametrize("bad", [0, -3])
def test_too_few_categories(bad):
    with pytest.raises(relaxit.ConfigurationError, match="categories"):
        categorical(bad)


@pytest.mark.parametrize("rows", [1, 5000])
def test_a_single_category_is_certain(rows):
    # A list of length one among lists of other lengths.
    q = categorical(1)(torch.randn(rows, 1), 0.5)
    soft, hard = q.draw()
    assert torch.equal(soft, torch.ones(rows, 1))
    assert torch.equal(hard, soft)
    assert torch.equal(q.sample_hard(), soft)
    assert not q.discrete.entropy().any()
    assert not q.kl_to_uniform().any()
    assert not q.discrete.log_prob(hard).any()


def test_missing_and_unknown_option():
    with pytest.raises(relaxit.ConfigurationError, match="categorical needs categories"):
        relaxit.get("categorical")
    with pytest.raises(relaxit.ConfigurationError, match="has no option size; it has: categories"):
        relaxit.get("categorical", categories=3, size=3)


def test_unbatched_value_meets_every_row():
    logits, value = logits_of(4, 3), interior(3)
    q = categorical(3)(logits, 0.5)
    torch.testing.assert_close(q.log_prob(value), q.log_prob(value.expand(4, 3)))
    vertex = torch.eye(3, dtype=torch.float64)[1]
    torch.testing.assert_close(
        q.discrete.log_prob(vertex), q.discrete.log_prob(vertex.expand(4, 3))
    )
    with pytest.raises(ShapeError):
        q.discrete.log_prob(torch.ones(4))
