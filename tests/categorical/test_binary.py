"""The binary Concrete distribution and its bit against torch, quadrature and enumeration."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import integrate
from torch.distributions import Bernoulli, RelaxedBernoulli, kl_divergence
from torch.distributions.relaxed_bernoulli import LogitRelaxedBernoulli

import relaxit
from relaxit.errors import DomainError
from relaxit.testing import wrong_distribution, wrong_mean
from tests.helpers import DTYPES, seed

INF = torch.inf
ROWS = torch.tensor([0.2, 0.5, 1.0, 3.0, 30.0], dtype=torch.float64)
LOGITS = torch.tensor([-3.0, -0.5, 0.0, 1.0, 4.0], dtype=torch.float64)


@pytest.fixture
def binary():
    return relaxit.get("binary")


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0, 10.0, ROWS])
def test_log_prob_equals_torch(binary, temperature):
    value = torch.rand(7, 5, dtype=torch.float64, generator=seed(0))
    tau = torch.as_tensor(temperature, dtype=torch.float64)
    theirs = RelaxedBernoulli(tau, logits=LOGITS)
    got = binary(LOGITS, temperature).log_prob(value)
    torch.testing.assert_close(got, theirs.log_prob(value), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("temperature", [0.01, 0.5, 1.0, 10.0, ROWS])
def test_log_space_equals_torch(binary, temperature):
    tau = torch.as_tensor(temperature, dtype=torch.float64)
    theirs = LogitRelaxedBernoulli(tau, logits=LOGITS)
    distribution = binary(LOGITS, temperature).log_space
    x = distribution.rsample((7,), seed(0))
    torch.testing.assert_close(distribution.log_prob(x), theirs.log_prob(x), rtol=1e-10, atol=1e-10)


def test_finite_at_low_temperature(binary):
    q = binary(torch.randn(2000, generator=seed(0)) * 2, 0.01)
    assert bool(q.log_prob(q.sample((), seed(0))).isfinite().all())
    # The same noise through a plain sigmoid rounds to 1, or to 0, in half of the rows.
    plain = q.log_space.rsample((), seed(0)).sigmoid()
    lost = ~binary(q.params, 0.01, validate_args=False).log_prob(plain).isfinite()
    assert float(lost.float().mean()) > 0.4


@pytest.mark.parametrize("temperature", [1e-3, 0.01, 0.5, 10.0])
def test_log_space_is_the_logit_of_the_soft_value(binary, temperature):
    q = binary(LOGITS, temperature)
    x, soft = q.log_space.rsample((50,), seed(0)), q.rsample((50,), seed(0))
    torch.testing.assert_close(binary.from_log_space(x), soft, rtol=1e-12, atol=1e-15)
    near = x.abs() < 15
    jacobian = torch.nn.functional.logsigmoid(x) + torch.nn.functional.logsigmoid(-x)
    want = q.log_space.log_prob(x) - jacobian
    torch.testing.assert_close(q.log_prob(soft)[near], want[near], rtol=1e-8, atol=1e-8)


def mass(distribution, temperature):
    """Integral of a density on the interval, over the logit of y."""

    def density(t):
        x = torch.tensor(t, dtype=torch.float64)
        y = x.sigmoid()
        return float((distribution.log_prob(y)).exp() * y * (1 - y))

    end = min(40 / temperature, 36.0)  # beyond 36 the value rounds to 1
    return integrate.quad(density, -end, end, points=[0], limit=400)[0]


@pytest.mark.parametrize("temperature", [0.9, 1.0, 2.0, 10.0])
def test_density_integrates_to_one(binary, temperature):
    q = binary(torch.tensor(0.7, dtype=torch.float64), temperature)
    assert mass(q, temperature) == pytest.approx(1, abs=1e-7)


@pytest.mark.parametrize("temperature", [0.01, 0.1, 0.5, 1.0, 10.0])
def test_log_space_density_integrates_to_one(binary, temperature):
    distribution = binary(torch.tensor(0.7, dtype=torch.float64), temperature).log_space
    density = lambda t: float(distribution.log_prob(torch.tensor(t, dtype=torch.float64)).exp())  # noqa: E731
    end = 45 / temperature
    total = integrate.quad(density, -end, end, points=[0], limit=400)[0]
    assert total == pytest.approx(1, abs=1e-7)


def test_quadrature_sees_a_wrong_constant(binary):
    q = binary(torch.tensor(0.7, dtype=torch.float64), 2.0)

    class Mutant:
        """Forgets log tau."""

        def log_prob(self, value):
            return q.log_prob(value) - math.log(2.0)

    assert abs(mass(Mutant(), 2.0) - 1) > 0.4


@pytest.mark.parametrize("temperature", [0.3, 1.0, 5.0])
@pytest.mark.parametrize("space", ["soft", "log"])
def test_samples_follow_the_density(binary, space, temperature):
    # tau logit(y) - a is a standard logistic number. alpha = 2e-5.
    a = torch.tensor(0.7, dtype=torch.float64)
    q = binary(a, temperature)
    soft, x = q.sample((50_000,), seed(5)), q.log_space.rsample((50_000,), seed(5))
    x = soft.logit() if space == "soft" and temperature >= 1 else x
    assert not wrong_distribution(temperature * x - a, "logistic")
    assert wrong_distribution(2 * temperature * x - a, "logistic")
    assert wrong_distribution(temperature * x - a - 0.1, "logistic")


def test_kl_by_sampling_equals_quadrature(binary):
    # alpha = 2e-5.
    a, b = torch.tensor([0.4, -0.8], dtype=torch.float64)
    p, q = binary(a, 0.5).log_space, binary(b, 0.8).log_space

    def term(t):
        x = torch.tensor(t, dtype=torch.float64)
        return float(p.log_prob(x).exp() * (p.log_prob(x) - q.log_prob(x)))

    exact = integrate.quad(term, -150, 150, points=[0], limit=400)[0]
    assert exact > 0.05
    x = p.rsample((100_000,), seed(6))
    assert not wrong_mean(p.log_prob(x) - q.log_prob(x), exact)
    for mutant in (binary(b, 1.6), binary(b + 0.1, 0.8)):
        assert wrong_mean(p.log_prob(x) - mutant.log_space.log_prob(x), exact)


def test_bit_equals_torch(binary):
    distribution, theirs = binary(LOGITS).discrete, Bernoulli(logits=LOGITS)
    close = {"rtol": 1e-12, "atol": 1e-12}
    for value in (torch.zeros(5).double(), torch.ones(5).double()):
        torch.testing.assert_close(distribution.log_prob(value), theirs.log_prob(value), **close)
    torch.testing.assert_close(distribution.entropy(), theirs.entropy(), **close)
    torch.testing.assert_close(distribution.mean, theirs.mean, **close)
    torch.testing.assert_close(distribution.variance, theirs.variance, **close)
    other = LOGITS.flip(0) + 0.3
    got = kl_divergence(distribution, binary(other).discrete)
    torch.testing.assert_close(got, kl_divergence(theirs, Bernoulli(logits=other)), **close)


# --- forced bits ------------------------------------------------------------------------------


FORCED = torch.tensor([-INF, INF, 0.5])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("temperature", [0.01, 1.0, 100.0])
def test_forced_bits_are_exact(binary, temperature, dtype):
    q = binary(FORCED.to(dtype), temperature)
    for value in (*q.draw((500,)), q.rsample((500,)), q.sample_hard((500,))):
        assert bool((value[:, 0] == 0).all())
        assert bool((value[:, 1] == 1).all())
    soft = q.rsample((500,))
    assert bool(((soft[:, 2] > 0) & (soft[:, 2] < 1)).all())
    alone = binary(FORCED[2].to(dtype), temperature).log_prob(soft[:, 2])
    torch.testing.assert_close(q.log_prob(soft)[:, 2], alone)
    assert bool((q.log_prob(soft)[:, :2] == 0).all())


def test_forced_bits_that_are_not_obeyed_have_no_density(binary):
    q = binary(FORCED)
    assert q.log_prob(torch.tensor([0.5, 0.5, 0.5]))[:2].tolist() == [-INF, -INF]
    assert q.discrete.log_prob(torch.tensor([1.0, 0.0, 1.0]))[:2].tolist() == [-INF, -INF]
    assert q.discrete.log_prob(torch.tensor([0.0, 1.0, 1.0]))[:2].tolist() == [0, 0]


def test_discrete_distribution_of_forced_bits(binary):
    distribution = binary(FORCED.double()).discrete
    assert distribution.mean[:2].tolist() == [0, 1]
    assert distribution.mode.tolist() == [0, 1, 1]
    assert distribution.entropy()[:2].tolist() == [0, 0]
    kl = binary(FORCED.double()).kl_to_uniform()
    torch.testing.assert_close(kl[:2], torch.full((2,), math.log(2), dtype=torch.float64))


@pytest.mark.parametrize(
    ("p", "q", "want"),
    [
        (-INF, -INF, 0.0),
        (INF, INF, 0.0),
        (-INF, INF, INF),
        (INF, -INF, INF),
        (0.0, INF, INF),
        (0.0, -INF, INF),
        (-INF, 0.0, math.log(2)),
        (INF, 0.0, math.log(2)),
        (-1e4, -1e4, 0.0),
    ],
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_kl_of_forced_bits(binary, p, q, want, dtype):
    first, second = (binary(torch.tensor(x, dtype=dtype)).discrete for x in (p, q))
    got = float(kl_divergence(first, second))
    assert got == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sign", [-1, 1])
def test_kl_of_a_mass_that_underflows_from_a_forced_bit(binary, sign, dtype):
    # Infinite in truth; 0 is what the float mass says. Either, but no NaN.
    first = binary(torch.tensor(sign * 1e4, dtype=dtype)).discrete
    second = binary(torch.tensor(sign * INF, dtype=dtype)).discrete
    assert float(kl_divergence(first, second)) in (0.0, INF)


def test_gradients_are_finite_with_forced_bits(binary):
    value = torch.tensor([0.0, 1.0, 0.3])
    other = binary(torch.tensor([-INF, INF, 1.0])).discrete
    functions = [
        lambda a: binary(a).discrete.entropy(),
        lambda a: binary(a).kl_to_uniform(),
        lambda a: binary(a).discrete.log_prob(value.round()),
        lambda a: binary(a).discrete.mean,
        lambda a: kl_divergence(binary(a).discrete, other),
        lambda a: kl_divergence(other, binary(a).discrete),
        lambda a: binary(a, 0.5).log_prob(value),
        lambda a: binary(a, 0.5).log_space.log_prob(torch.tensor([-INF, INF, 1.0])),
        lambda a: binary(a, 0.5).rsample(),
    ]
    for function in functions:
        leaf = FORCED.clone().requires_grad_()
        result = function(leaf)
        assert bool(result.isfinite().all())
        (slope,) = torch.autograd.grad(result.sum(), leaf)
        assert bool(slope.isfinite().all())
        assert slope[:2].tolist() == [0, 0]


@pytest.mark.parametrize("end", [0.0, 1 - 2.0**-24])
def test_sampling_at_the_ends_of_the_generator(binary, end, monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda shape, **_: torch.full(shape, end))
    q = binary(FORCED)
    assert q.discrete.sample().tolist() == [0, 1, float(end == 0)]
    soft, hard = q.draw()
    assert hard.tolist() == [0, 1, float(end > 0)]
    assert 0 < float(soft[2]) < 1


# --- errors -----------------------------------------------------------------------------------


def test_illegal_logits(binary):
    with pytest.raises(DomainError, match="1 of 3"):
        binary(torch.tensor([torch.nan, 0.0, INF]))


@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, 1.1, torch.nan])
def test_no_density_outside_the_open_interval(binary, value):
    with pytest.raises(DomainError):
        binary(torch.zeros(2)).log_prob(torch.tensor([0.5, value]))


def test_own_samples_are_never_rejected(binary):
    for dtype in DTYPES:
        for temperature in (1e-3, 0.1, 1.0, 1e3):
            q = binary(torch.randn(5000).to(dtype) * 5, temperature)
            assert bool(q.log_prob(q.sample()).isfinite().all())


def test_no_options(binary):
    with pytest.raises(relaxit.ConfigurationError, match=r"^binary has no option categories"):
        relaxit.get("binary", categories=2)
