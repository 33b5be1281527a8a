"""The perturbed optimiser against enumeration and integrals."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

import relaxit
from relaxit.errors import Unsupported
from relaxit.estimators.common.perturbed_scores import gaussian, noise_of
from relaxit.estimators.perturbed import Perturbed
from relaxit.testing import wrong_distribution, wrong_mean
from relaxit.testing.toys import SamplesOnly, ThreeNumbers
from tests.helpers import params_for, seed
from tests.toy_relaxations import Plain

CATEGORICAL = relaxit.get("categorical", categories=4)
BINARY = relaxit.get("binary")


STRUCTURES = pytest.mark.parametrize("relaxation", [CATEGORICAL, BINARY, ThreeNumbers()], ids=repr)
DISTRIBUTIONS = {"gumbel_r": CATEGORICAL, "logistic": BINARY, "norm": None}


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_noise_and_the_derivative_of_its_density(distribution):
    kind = "own" if DISTRIBUTIONS[distribution] is not None else "gaussian"
    drawn, score = noise_of("it", DISTRIBUTIONS[distribution] or BINARY, kind)
    assert not wrong_distribution(drawn(torch.Size([20_000]), generator=seed(1)), distribution)
    z = torch.linspace(-2, 5, 15, dtype=torch.float64)
    density = getattr(stats, distribution).logpdf
    want = -(density(z + 1e-6) - density(z - 1e-6)) / 2e-6
    torch.testing.assert_close(score(z), torch.as_tensor(want), rtol=1e-6, atol=1e-7)


def test_gaussian_noise_is_finite_in_both_tails(monkeypatch):
    for value in (0.0, 1 - 2.0**-24):
        monkeypatch.setattr(torch, "rand", lambda *_, v=value, **__: torch.full((3,), v))
        assert bool(gaussian(torch.Size([3]), dtype=torch.float32).isfinite().all())


def weights_for(relaxation):
    return torch.randn(relaxation.event_shape, generator=seed(11)) + 0.5


def estimates(estimator, relaxation, params, rows=100_000, power=1):
    leaf = params.expand(rows, *params.shape).clone().requires_grad_()
    z = estimator.sample(relaxation(leaf), (), seed(1))
    cost = (weights_for(relaxation) * z).flatten(1).sum(-1) if z.dim() > 1 else z * weights_for(
        relaxation)  # fmt: skip
    return torch.autograd.grad((cost**power).sum(), leaf)[0], z.detach()


def errors_off(found, exact):
    error = found.double().std(0) / len(found) ** 0.5
    return float(((found.double().mean(0) - exact).abs() / error).max())


def exact_gradient(relaxation, params, power):
    leaf = params.double().clone().requires_grad_()
    vertices = relaxation.enumerate_vertices().double()
    values = vertices * weights_for(relaxation).double()
    costs = (values.flatten(1).sum(-1) if values.dim() > 1 else values) ** power
    mass = relaxation.discrete(leaf).log_prob(vertices).exp()
    return torch.autograd.grad((mass * costs).sum(), leaf)[0]


@STRUCTURES
@pytest.mark.parametrize("draws", [2, 10])
def test_unbiased_for_linear_costs(relaxation, draws):
    # 4 standard errors: a right estimator of 4 numbers fails at 3e-4 of seeds. Numbers has params
    # of another shape than its values.
    params = params_for(relaxation, dtype=torch.float32)
    found, _ = estimates(Perturbed(draws=draws), relaxation, params)
    exact = exact_gradient(relaxation, params, 1)
    assert errors_off(found, exact) < 4
    assert errors_off(found * 1.05, exact) > 4  # 5 % would be seen
    assert errors_off(found + 0.02, exact) > 4


def test_biased_for_cubic_ones():
    # So that the claim is known to be no wider.
    params = params_for(CATEGORICAL, dtype=torch.float32)
    found, _ = estimates(Perturbed(), CATEGORICAL, params, power=3)
    assert errors_off(found, exact_gradient(CATEGORICAL, params, 3)) > 10


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_gaussian_noise_against_its_integral(scale):
    # One bit: P(a + s Z > 0) = Phi(a / s), with the derivative phi(a / s) / s.
    a = torch.tensor(0.7)
    estimator = Perturbed(noise="gaussian", scale=scale)
    found, z = estimates(estimator, BINARY, a)
    want = float(weights_for(BINARY)) * stats.norm.pdf(0.7 / scale) / scale
    assert errors_off(found, torch.tensor(want)) < 4
    assert not wrong_mean(z, stats.norm.cdf(0.7 / scale))


def test_scaled_own_noise_against_its_integral():
    found, z = estimates(Perturbed(scale=2.0), BINARY, torch.tensor(0.7))
    want = float(weights_for(BINARY)) * stats.logistic.pdf(0.35) / 2
    assert errors_off(found, torch.tensor(want)) < 4
    assert not wrong_mean(z, stats.logistic.cdf(0.35))


def test_more_draws_vary_less():
    params = params_for(CATEGORICAL, dtype=torch.float32)
    few, many = (
        float(estimates(Perturbed(draws=m), CATEGORICAL, params, 5000)[0].var(0).sum())
        for m in (2, 50)
    )
    assert many < few / 10


def test_values_are_those_of_draws_unless_it_has_a_distribution_of_its_own():
    assert not Perturbed().own_distribution
    assert Perturbed(scale=2.0).own_distribution
    assert Perturbed(noise="gaussian").own_distribution
    q = CATEGORICAL(params_for(CATEGORICAL, 50))
    assert torch.equal(Perturbed().sample(q, (3,), seed(1)), q.draw((3,), seed(1))[1])


@STRUCTURES
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_values_and_dtypes(relaxation, dtype):
    params = params_for(relaxation, 5, 2, dtype=dtype).requires_grad_()
    z = Perturbed(noise="gaussian").sample(relaxation(params), (3,))
    assert z.shape == (3, 5, 2, *relaxation.event_shape)
    assert z.dtype == dtype
    assert bool(relaxation.vertices.check(z).all())
    (slope,) = torch.autograd.grad(z.sum(), params)
    assert slope.dtype == dtype
    assert bool(slope.isfinite().all())
    with torch.no_grad():
        alone = Perturbed().sample(relaxation(params), (), seed(1))
    assert torch.equal(alone, Perturbed().sample(relaxation(params), (), seed(1)))


def test_masked_and_forced_params_stay_as_they_are():
    params = torch.tensor([0.3, -torch.inf, 0.1, 2.0]).expand(100, 4).clone().requires_grad_()
    (slope,) = torch.autograd.grad(
        (Perturbed().sample(CATEGORICAL(params)) * torch.arange(4.0)).sum(), params
    )
    assert bool(slope.isfinite().all())
    assert not bool(slope[:, 1].any())
    assert bool(slope[:, 0].any())
    bits = torch.tensor([torch.inf, -torch.inf, 0.0], requires_grad=True)
    z = Perturbed(draws=50).sample(BINARY(bits))
    assert z[:2].tolist() == [1, 0]
    assert bool(torch.autograd.grad(z.sum(), bits)[0].isfinite().all())


@STRUCTURES
def test_vmap_of_grad_equals_a_loop(relaxation):
    params = params_for(relaxation, 3)
    grad = torch.func.grad(lambda a: Perturbed().sample(relaxation(a)).square().sum())

    def slope(a):
        torch.manual_seed(5)
        return grad(a)

    torch.manual_seed(5)
    got = torch.func.vmap(grad, randomness="same")(params)
    torch.testing.assert_close(got, torch.stack([slope(a) for a in params]))


def test_noise_without_an_argmax_is_rejected():
    class Odd(SamplesOnly):
        name = "odd"
        noise = staticmethod(torch.zeros)

    class Shifted(SamplesOnly):
        name = "shifted"

        def perturb(self, params, shape, generator=None):
            return super().perturb(params, shape, generator) + 1

    Perturbed().check(SamplesOnly())
    for relaxation in (Odd(), Shifted()):
        with pytest.raises(Unsupported, match=f"{relaxation.name}.*use noise=gaussian"):
            Perturbed().check(relaxation)
        Perturbed(noise="gaussian").check(relaxation)
    for call in (lambda r: Perturbed().check(r), lambda r: Perturbed().sample(r(torch.zeros(3)))):
        with pytest.raises(Unsupported, match=r"'perturbed' needs an argmax.*plain"):
            call(Plain())
