"""Distributions of relaxit as sites of Pyro programs, against sums over all values."""

from __future__ import annotations

import pytest
import torch

import relaxit
from relaxit.testing import wrong_mean
from tests.helpers import params_for, relaxations_with, seed

pyro = pytest.importorskip("pyro", reason="Pyro is not installed: pip install pyro-ppl")
dist = pytest.importorskip("pyro.distributions")
infer = pytest.importorskip("pyro.infer")

LATENTS, ROWS = 2, 5
DISCRETE = pytest.mark.parametrize(
    "relaxation", relaxations_with("discrete_distribution"), ids=repr
)


@pytest.fixture(autouse=True)
def checked():
    """Pyro checks shapes, and begins without parameters."""
    pyro.clear_param_store()
    with pyro.validation_enabled():
        yield


def program(relaxation):
    """A model of two latent variables per row in nested plates, a guide, and its params."""
    params = pyro.param("params", params_for(relaxation, LATENTS, ROWS)).unconstrained()
    weights = params_for(relaxation, number=3).new_ones(relaxation.event_shape).cumsum(-1)
    seen = torch.randn(LATENTS, ROWS, generator=seed(1), dtype=torch.float64)

    def likelihood(z):
        rank = len(relaxation.event_shape)
        return dist.Normal((z * weights).flatten(z.dim() - rank).sum(-1) if rank else z, 1.0)

    def model():
        with pyro.plate("rows", ROWS, dim=-1), pyro.plate("latents", LATENTS, dim=-2):
            # One set of params, which the plates expand.
            zeros = torch.zeros(relaxation.param_shape, dtype=torch.float64)
            z = pyro.sample("z", relaxation(zeros).discrete)
            pyro.sample("x", likelihood(z), obs=seen)

    def guide():
        with pyro.plate("rows", ROWS, dim=-1), pyro.plate("latents", LATENTS, dim=-2):
            pyro.sample("z", relaxation(pyro.param("params")).discrete)

    return model, guide, params, lambda z: likelihood(z).log_prob(seen)


def negative_elbo(relaxation, params, likelihood):
    """The loss as a sum over all values."""
    q = relaxation.discrete(params)
    prior = relaxation.discrete(torch.zeros_like(params))
    values = q.enumerate_support()
    mass, log_prior = q.log_prob(values), prior.log_prob(values)
    return -(mass.exp() * (likelihood(values) + log_prior - mass)).sum()


@DISCRETE
def test_enumeration_is_exact(relaxation):
    model, guide, params, likelihood = program(relaxation)
    elbo = infer.TraceEnum_ELBO(max_plate_nesting=2)
    loss = elbo.differentiable_loss(model, infer.config_enumerate(guide))
    want = negative_elbo(relaxation, params, likelihood)
    assert loss.item() == pytest.approx(want.item())
    slopes = [torch.autograd.grad(x, params)[0] for x in (loss, want)]
    assert torch.allclose(*slopes)


@DISCRETE
def test_enumeration_in_the_model(relaxation):
    model, _, params, likelihood = program(relaxation)
    elbo = infer.TraceEnum_ELBO(max_plate_nesting=2)
    loss = elbo.loss(infer.config_enumerate(model), lambda: None)
    prior = relaxation.discrete(torch.zeros_like(params))
    values = prior.enumerate_support()
    want = -(likelihood(values) + prior.log_prob(values)).logsumexp(0).sum()
    assert loss == pytest.approx(want.item())


@DISCRETE
@pytest.mark.parametrize("name", ["Trace_ELBO", "TraceGraph_ELBO"])
def test_sampled_gradients_are_unbiased(relaxation, name):
    """False-alarm rate 2e-5 at most, see wrong_mean."""
    model, guide, params, likelihood = program(relaxation)
    want = torch.autograd.grad(negative_elbo(relaxation, params, likelihood), params)[0]
    pyro.set_rng_seed(0)
    elbo = getattr(infer, name)()
    slopes = []
    for _ in range(400):
        elbo.loss_and_grads(model, guide)
        slopes.append(params.grad.flatten())
        params.grad = None
    wrong = wrong_mean(torch.stack(slopes), want.flatten())
    assert not wrong, wrong


@DISCRETE
def test_methods_of_pyro(relaxation):
    q = relaxation(params_for(relaxation, 2, 3)).discrete
    z = q((4,))  # as Pyro calls it
    assert z.shape == q.shape((4,)) == (4, 2, 3, *relaxation.event_shape)
    mass = q.log_prob(z)
    flags = torch.tensor([True, False, True])
    assert torch.equal(q.mask(flags).log_prob(z), mass * flags)
    assert torch.allclose(q.to_event(1).log_prob(z), mass.sum(-1))
    assert q.expand_by((7,)).batch_shape == (7, 2, 3)
    assert q.has_enumerate_support
    assert not q.to_event(1).has_enumerate_support


RELAXED = relaxit.get("categorical", categories=3)
LOGITS = torch.tensor([0.0, 1.0, -1.0], dtype=torch.float64)
BITS = torch.tensor([0.3, -1.0], dtype=torch.float64)


def relaxed_model():
    pyro.sample("z", RELAXED(LOGITS, 1.0))
    pyro.sample("b", relaxit.get("binary")(BITS, 0.8).to_event(1))


def test_soft_samples_have_pathwise_gradients():
    logits = LOGITS.clone().requires_grad_()
    trace = pyro.poutine.trace(lambda: pyro.sample("z", RELAXED(logits, 0.5))).get_trace()
    site = trace.nodes["z"]
    assert site["fn"].has_rsample
    assert site["value"].requires_grad
    trace.compute_log_prob()
    assert torch.equal(site["log_prob"], RELAXED(logits, 0.5).log_prob(site["value"]))


def test_auto_normal_learns():
    guide = infer.autoguide.AutoNormal(relaxed_model)
    optimizer = pyro.optim.Adam({"lr": 0.02})
    pyro.set_rng_seed(0)
    svi = infer.SVI(relaxed_model, guide, optimizer, infer.Trace_ELBO())
    losses = [svi.step() for _ in range(150)]
    assert sum(losses[-20:]) < sum(losses[:20]) - 20  # from about 9 to about 1 each
    assert RELAXED.support.check(guide()["z"]).all()


@pytest.mark.slow
def test_nuts_draws_from_the_density():
    """Draws of a chain depend on each other: means are compared up to 0.08, at least 5 errors."""
    pyro.set_rng_seed(0)
    chain = infer.MCMC(infer.NUTS(relaxed_model), 400, 100, disable_progbar=True)
    chain.run()
    drawn = chain.get_samples()
    for name, q in {"z": RELAXED(LOGITS, 1.0), "b": relaxit.get("binary")(BITS, 0.8)}.items():
        exact = q.sample((100_000,), seed(2))
        for moment in (lambda y: y.mean(0), lambda y: y.square().mean(0)):
            assert torch.allclose(moment(drawn[name]), moment(exact), atol=0.08)
