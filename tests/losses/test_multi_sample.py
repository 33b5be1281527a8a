"""Importance-weighted bounds: gradients by enumeration, values against the likelihood."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

import relaxit
from relaxit.errors import ConfigurationError, ShapeError, Unsupported
from relaxit.losses import iwae_loss, vimco_loss
from relaxit.testing import wrong_mean
from relaxit.testing.toys import SamplesOnly
from tests.estimators.common.score_estimators import fixed_draws
from tests.estimators.costs import cubic
from tests.helpers import params_for, seed
from tests.own_relaxations import DISCRETE

THREE = relaxit.get("categorical", categories=3)
BIT = relaxit.get("binary")


def log_weight_of(relaxation, params, decoder=None):
    """log p(x, z) - log q(z) of one weight for all variables of a row."""
    likelihood = cubic(relaxation, params.shape[-1 - len(relaxation.param_shape)])

    def log_weight(z):
        log_q = relaxation.discrete(params).log_prob(z).sum(-1)
        return (1.0 if decoder is None else decoder) * likelihood(z) / 10 - log_q

    return log_weight


def tuples(relaxation, variables, samples):
    """All values ``[samples, variables, *event]`` of all samples."""
    vertices = relaxation.enumerate_vertices().double()
    joint = [torch.stack(row) for row in itertools.product(vertices, repeat=variables)]
    return [torch.stack(each) for each in itertools.product(joint, repeat=samples)]


@pytest.mark.parametrize("samples", [2, 3])
@pytest.mark.parametrize(
    ("relaxation", "variables"), [(THREE, 1), (BIT, 2), (relaxit.get("binary"), 1)]
)
def test_vimco_is_unbiased_by_enumeration(relaxation, variables, samples, monkeypatch):
    params = params_for(relaxation, variables).requires_grad_()
    decoder = torch.tensor(1.3).double().requires_grad_()
    bound, total, mean = 0.0, [0.0, 0.0], 0.0
    for z in tuples(relaxation, variables, samples):
        mass = relaxation.discrete(params).log_prob(z).sum().exp()
        logs = log_weight_of(relaxation, params, decoder)(z)
        bound = bound + mass * (logs.logsumexp(0) - math.log(samples))
        fixed_draws(monkeypatch, z)
        q = relaxation(params)
        loss = vimco_loss(q, log_weight_of(relaxation, params, decoder), samples)
        slopes = torch.autograd.grad(loss, [params, decoder])
        total = [t + mass.detach() * s for t, s in zip(total, slopes, strict=True)]
        mean += float(mass.detach() * loss.detach())
    assert mean == pytest.approx(-float(bound.detach()), abs=1e-12)
    exact = torch.autograd.grad(-bound, [params, decoder])
    for got, want in zip(total, exact, strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=1e-12)
        assert float(want.abs().max()) > 1e-3


def test_the_baseline_lowers_the_variance():
    params = params_for(THREE, 2)
    rows = params.expand(2000, 2, 3).clone().requires_grad_()
    log_weight = log_weight_of(THREE, rows)
    vimco = torch.autograd.grad(
        vimco_loss(THREE(rows), log_weight, 5, generator=seed(1)).sum(), rows
    )
    # The same draws, with the bound itself as the signal of every sample.
    z = THREE(rows).sample_hard((5,), seed(1))
    logs = torch.stack([log_weight(each) for each in z])
    bound = logs.logsumexp(0) - math.log(5)
    score = bound.detach() * THREE(rows).discrete.log_prob(z).sum(-1)
    plain = torch.autograd.grad(-(bound + score.sum(0)).sum(), rows)
    assert vimco[0].var(0).sum() < 0.3 * plain[0].var(0).sum()


@DISCRETE
def test_bounds_grow_with_the_samples_to_the_likelihood(relaxation):
    # Means of 20 000 losses; the mean weight is p(x). Rates: ALPHA, and 5 errors (6e-7) twice.
    params = params_for(relaxation, 1).expand(20_000, 1, *relaxation.param_shape)
    vertices = relaxation.enumerate_vertices().double().unsqueeze(1)
    joint = 3 * cubic(relaxation, 1)(vertices)
    mass = relaxation.discrete(params[0]).log_prob(vertices)[:, 0].exp()
    likelihood = float((mass * joint.exp()).sum().log())
    bounds = []
    for samples in (2, 10, 50):
        loss = vimco_loss(
            relaxation(params), lambda z: 3 * cubic(relaxation, 1)(z), samples, generator=seed(2)
        )
        assert not wrong_mean((-loss).exp() / math.exp(likelihood), 1.0)
        bounds.append((-float(loss.mean()), 5 * float(loss.std()) / 20_000**0.5))
    for (lower, error), (higher, other) in itertools.pairwise(bounds):
        assert lower < higher + error + other
    assert bounds[0][0] < likelihood - bounds[0][1]
    assert bounds[-1][0] < likelihood + bounds[-1][1]


@pytest.mark.parametrize("samples", [1, 4])
def test_iwae_is_the_derivative_of_the_bound_on_its_noise(samples):
    params, prior = params_for(BIT, 2, 3).requires_grad_(), BIT(torch.zeros(3).double(), 0.8)

    def loss(a):
        q = BIT(a, 0.8)
        log_weight = lambda z: (prior.log_prob(z) - q.log_prob(z) - z).sum(-1)  # noqa: E731
        return iwae_loss(q, log_weight, samples, generator=seed(1))

    assert loss(params).shape == (2,)
    assert torch.autograd.gradcheck(loss, params)
    q = BIT(params, 0.8)
    z = q.rsample((samples,), seed(1))
    logs = (prior.log_prob(z) - q.log_prob(z) - z).sum(-1)
    torch.testing.assert_close(loss(params), -(logs.logsumexp(0) - math.log(samples)))


def test_the_mean_weight_of_soft_samples_is_the_likelihood():
    # With p(x|z) = 1 the weights have mean 1.
    params = params_for(BIT, 1).expand(50_000, 1)
    q, prior = BIT(params, 0.8), BIT(0.5 * params, 0.8)
    log_weight = lambda z: (prior.log_prob(z) - q.log_prob(z)).sum(-1)  # noqa: E731
    params.requires_grad_()
    with torch.no_grad():
        one, many = (iwae_loss(q, log_weight, k, generator=seed(k)) for k in (1, 20))
    for loss in (one, many):
        assert not wrong_mean((-loss).exp(), 1.0)
    assert float(one.mean()) > float(many.mean()) > 0


@pytest.mark.parametrize("name", ["pathwise", "st-gumbel", "straight-through"])
def test_iwae_takes_any_sample_estimator(name):
    estimator = relaxit.estimator(name)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        decoder = nn.Linear(6, 1).double()
    params = params_for(THREE, 5, 2).requires_grad_()
    log_weight = lambda z: -decoder(z.flatten(-2)).squeeze(-1).square()  # noqa: E731
    loss = iwae_loss(THREE(params, 0.7), log_weight, 3, estimator=estimator, generator=seed(1))
    z = estimator.sample(THREE(params, 0.7), (3,), seed(1))
    want = -(log_weight(z).logsumexp(0) - math.log(3))
    leaves = [params, *decoder.parameters()]
    for got, wanted in zip(
        torch.autograd.grad(loss.sum(), leaves),
        torch.autograd.grad(want.sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(got, wanted)


def test_as_a_reconstruction_term_the_bound_would_exceed_the_likelihood():
    # Why they are no estimators. Uniform prior, p(x|z) = 1 and nearly 0, q = (.9, .1).
    q = BIT(torch.tensor(9.0).double().log().expand(2000))
    reconstruction = vimco_loss(q, lambda z: -40 * (1 - z), 200, generator=seed(1)).mean()
    claimed = -float(reconstruction + q.kl_to_uniform().mean())
    assert claimed == pytest.approx(-0.473, abs=0.01)
    assert claimed > math.log(0.5) + 0.2


def test_extreme_weights_are_finite_and_vmap_equals_a_loop():
    params = params_for(THREE, 4).requires_grad_()
    loss = vimco_loss(THREE(params), lambda z: 1e4 * z[..., 0] - 1e4, 5, generator=seed(1))
    assert bool(loss.isfinite().all())
    assert bool(torch.autograd.grad(loss.sum(), params)[0].isfinite().all())
    grad = torch.func.grad(lambda a: vimco_loss(THREE(a), lambda z: z[..., 0] - z[..., 1], 3))

    def seeded(a):
        torch.manual_seed(5)
        return grad(a)

    torch.manual_seed(5)
    got = torch.func.vmap(grad, randomness="same")(params.detach())
    torch.testing.assert_close(got, torch.stack([seeded(a) for a in params.detach()]))


@pytest.mark.parametrize("loss", [iwae_loss, vimco_loss])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_short_dtypes_and_autocast_keep_the_precision_of_float32(loss, dtype):
    params = params_for(THREE, 200, dtype=dtype)
    log_weight = lambda z: 3 * z[..., 0] - z[..., 1]  # noqa: E731
    short = params.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(THREE(short), log_weight, generator=seed(1))
    assert value.dtype == torch.float32
    long = params.float().requires_grad_()
    want = loss(THREE(long), log_weight, generator=seed(1))
    torch.testing.assert_close(value, want, rtol=0.02, atol=0.02)
    slopes = [torch.autograd.grad(v.sum(), p)[0].float() for v, p in ((value, short), (want, long))]
    torch.testing.assert_close(*slopes, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("samples", [0, 1.5, True, "3"])
@pytest.mark.parametrize("loss", [iwae_loss, vimco_loss])
def test_what_is_rejected(loss, samples):
    q, name = THREE(torch.zeros(2, 3, requires_grad=True)), loss.__name__
    with pytest.raises(ConfigurationError, match=f"{name}: samples must be an integer of [12]"):
        loss(q, lambda z: z[..., 0], samples)
    with pytest.raises(ShapeError, match=rf"{name}: the log-weight must.*\[2, 1\].*squeeze\(-1\)"):
        loss(q, lambda z: z[..., :1])
    with pytest.raises(TypeError, match=f"{name}: the log-weight must be a tensor.*got None"):
        loss(q, lambda z: None)


def test_what_is_missing_is_named():
    q = SamplesOnly()(torch.zeros(2, 3, requires_grad=True))
    with pytest.raises(Unsupported, match=r"vimco_loss needs the discrete distribution.*iwae_loss"):
        vimco_loss(q, lambda z: z[..., 0])
    with pytest.raises(
        Unsupported, match=r"iwae_loss differentiates the log-weight.*or use vimco_loss"
    ):
        iwae_loss(q, lambda z: z.detach()[..., 0])
    with pytest.raises(ConfigurationError, match="2 or more, got 1"):
        vimco_loss(THREE(torch.zeros(3)), lambda z: z[..., 0], 1)


@pytest.mark.parametrize("wrong", ["st-gumbel", relaxit.estimator("rloo")], ids=str)
def test_iwae_names_what_is_not_an_estimator_through_samples(wrong):
    with pytest.raises(Unsupported, match=r"^iwae_loss needs an estimator that acts through its"):
        iwae_loss(BIT(torch.zeros(3)), lambda z: z, estimator=wrong)


def test_iwae_compiles_in_one_graph():
    def loss(params):
        q = BIT(params, 0.7)
        return iwae_loss(q, lambda z: z - q.log_prob(z), samples=3).sum()

    torch.compiler.reset()
    params = torch.zeros(4, requires_grad=True)
    torch.compile(loss, backend="aot_eager", fullgraph=True)(params).backward()
    assert bool(params.grad.any())


def test_a_weight_that_works_in_place():
    slopes = []
    for log_weight in (lambda z: z.mul_(2)[..., 0], lambda z: 2 * z[..., 0]):
        params = torch.zeros(4, 3, requires_grad=True)
        vimco_loss(THREE(params), log_weight, 3, generator=seed(1)).sum().backward()
        slopes.append(params.grad)
    assert torch.equal(*slopes)
    assert bool(slopes[0].any())
