"""The objective and its bounds against enumeration of all latent states."""

import itertools
import math

import pytest
import torch

import relaxit
from relaxit import Capabilities
from relaxit.data import Examples, ImageReader
from relaxit.errors import ConfigurationError, Unsupported
from relaxit.tasks.vae.evaluation import discrete_elbo, importance_weighted_bound
from relaxit.tasks.vae.likelihood import pixel_loss
from relaxit.tasks.vae.model import Vae
from relaxit.tasks.vae.objective import NegativeElbo
from relaxit.testing import wrong_mean
from tests.training.signs import Sign

RELAXATIONS = [relaxit.get("categorical", categories=3), relaxit.get("binary"), Sign()]


def tiny(relaxation, latents=2, pixels=5, scale=4.0):
    torch.manual_seed(0)
    vae = Vae(relaxation, latents, pixels, hidden=(8,), init="torch")
    with torch.no_grad():  # far from the uniform posterior and from a constant decoder
        for p in vae.parameters():
            p.mul_(scale)
    return vae


def stored(count=6, pixels=5, binarise="none"):
    """Images of one row, as they are stored."""
    grey = torch.randint(0, 17, (count, 1, pixels), generator=torch.Generator().manual_seed(3))
    return Examples({"inputs": grey.to(torch.uint8)}, ImageReader(16, binarise))


def images(count=6):
    """Images ``[B, 5]`` as the task reads them."""
    return stored(count).read().inputs.flatten(1)


def states(relaxation, latents):
    """Every joint hard value ``[S, latents, *event]``."""
    if isinstance(relaxation, Sign):
        values = torch.tensor([[-1.0], [1.0]])
    else:
        values = relaxation.discrete(torch.zeros(relaxation.param_shape)).enumerate_support()
    return torch.stack([torch.stack(c) for c in itertools.product(values, repeat=latents)])


def enumerate_model(vae, relaxation, x, latents=2):
    """log q(z|x), log p(z), log p(x|z), each ``[S, B]``."""
    z = states(relaxation, latents)
    q = relaxation.discrete(vae.encode(x))
    log_q = q.log_prob(z[:, None].expand(-1, len(x), *z.shape[1:])).sum(-1)
    log_p = torch.full_like(log_q, -math.log(len(z)))
    log_x = -pixel_loss(vae.decode(z)[:, None].expand(-1, len(x), -1), x)
    return log_q, log_p, log_x


@pytest.mark.parametrize("relaxation", RELAXATIONS, ids=repr)
@torch.no_grad()
def test_discrete_terms_average_to_the_enumerated_elbo(relaxation):
    vae, x = tiny(relaxation), images()
    log_q, log_p, log_x = enumerate_model(vae, relaxation, x)
    exact_kl = (log_q.exp() * (log_q - log_p)).sum(0)
    exact_rec = -(log_q.exp() * log_x).sum(0).mean()
    objective = NegativeElbo(relaxation, relaxit.estimator("pathwise"))
    generator = torch.Generator().manual_seed(0)
    draws = []
    for _ in range(400):
        terms = objective(vae, x, torch.tensor(0.5), generator)
        draws.append(terms.discrete_reconstruction.mean())
    assert torch.allclose(terms.discrete_kl, exact_kl, atol=1e-5)
    draws = torch.stack(draws)
    assert not wrong_mean(draws, exact_rec)
    assert wrong_mean(draws, 1.05 * exact_rec)  # has power


@pytest.mark.parametrize("relaxation", RELAXATIONS, ids=repr)
@torch.no_grad()
def test_importance_weighting_goes_from_the_elbo_to_the_likelihood(relaxation):
    vae, part, x = tiny(relaxation, scale=2.5), stored(count=40), images(count=40)
    log_q, log_p, log_x = enumerate_model(vae, relaxation, x)
    likelihood = float((log_p + log_x).logsumexp(0).mean())
    elbo = float((log_q.exp() * (log_p + log_x - log_q)).sum(0).mean())
    bounds = [
        importance_weighted_bound(vae, relaxation, part, samples=m, seed=1) for m in (1, 8, 5000)
    ]
    assert elbo < likelihood - 0.01
    assert bounds[0] < bounds[1] < bounds[2] + 1e-3
    assert bounds[2] == pytest.approx(likelihood, abs=5e-3)
    single = torch.tensor(
        [importance_weighted_bound(vae, relaxation, part, 1, seed=s) for s in range(100)]
    )
    assert not wrong_mean(single, elbo)
    assert wrong_mean(single, likelihood)


def test_importance_weighting_reads_its_samples_in_chunks_of_any_size():
    relaxation = RELAXATIONS[0]
    vae, part = tiny(relaxation), stored(count=10)
    seen = []
    importance_weighted_bound(vae, relaxation, part, samples=53, progress=seen.append)
    assert seen[-1] == 10


@torch.no_grad()
def test_evaluation_uses_the_same_noise_each_time():
    relaxation = RELAXATIONS[0]
    vae, part = tiny(relaxation), stored(count=2500, binarise="dynamic")
    first, second = (discrete_elbo(vae, relaxation, part, seed=5) for _ in range(2))
    assert first == second
    assert first != discrete_elbo(vae, relaxation, part, seed=6)
    assert first.elbo == -(first.reconstruction + first.kl) < 0


@pytest.mark.parametrize("name", ["categorical", "binary"])
@torch.no_grad()
def test_relaxed_kl_is_the_log_ratio_of_densities(name):
    relaxation = RELAXATIONS[0] if name == "categorical" else RELAXATIONS[1]
    vae, x = tiny(relaxation), images()
    objective = NegativeElbo(relaxation, relaxit.estimator("pathwise"), "relaxed", 0.4)
    tau = torch.tensor(0.7)
    generator = torch.Generator().manual_seed(0)
    terms = objective(vae, x, tau, generator)
    q = relaxation(vae.encode(x), tau)
    prior = relaxation(torch.zeros_like(q.params), 0.4)
    log_value = q.log_space.rsample((), generator=torch.Generator().manual_seed(0))
    soft = relaxation.from_log_space(log_value).double()
    # The densities of the soft value itself: the change of coordinates cancels in their ratio.
    q64 = relaxation(q.params.double(), tau.double())
    prior64 = relaxation(prior.params.double(), 0.4)
    ratio = (q64.log_prob(soft) - prior64.log_prob(soft)).sum(-1)
    assert torch.allclose(terms.kl.double(), ratio, atol=2e-3)


@torch.no_grad()
def test_relaxed_kl_vanishes_where_posterior_is_the_prior():
    relaxation = RELAXATIONS[0]
    vae = tiny(relaxation)
    for p in vae.encoder.parameters():
        p.zero_()
    objective = NegativeElbo(relaxation, relaxit.estimator("pathwise"), "relaxed")
    terms = objective(vae, images(), torch.tensor(0.3))
    assert torch.equal(terms.kl, torch.zeros_like(terms.kl))


@pytest.mark.parametrize("estimator", ["straight-through", "st-gumbel"])
def test_hard_estimators_share_their_sample_with_the_discrete_bound(estimator):
    relaxation = RELAXATIONS[0]
    objective = NegativeElbo(relaxation, relaxit.estimator(estimator))
    terms = objective(tiny(relaxation), images(), torch.tensor(0.5))
    assert torch.equal(terms.reconstruction.detach(), terms.discrete_reconstruction)
    assert not terms.discrete_reconstruction.requires_grad
    assert terms.reconstruction.requires_grad


def test_the_bound_has_its_right_name():
    relaxation, make = RELAXATIONS[0], relaxit.estimator
    assert "surrogate" in NegativeElbo(relaxation, make("pathwise")).bound
    assert "relaxed model" in NegativeElbo(relaxation, make("pathwise"), "relaxed").bound
    assert "discrete model" in NegativeElbo(relaxation, make("straight-through")).bound


def test_the_bound_of_a_hard_sample_depends_on_the_distribution_it_is_drawn_from():
    class Inexact(Sign):
        name = "test-inexact"
        capabilities = Capabilities(density=False, discrete_distribution=True, exact_rounding=False)

    rounded = NegativeElbo(Inexact(), relaxit.estimator("st-gumbel"))
    drawn = NegativeElbo(Inexact(), relaxit.estimator("straight-through"))
    assert "another distribution" in rounded.bound
    assert drawn.bound == "negative ELBO of the discrete model"


def test_a_kl_that_is_a_bound_is_named_as_one():
    class Bounded(Sign):
        name = "test-bounded"
        kl_is_exact = False

    assert "own bound" in NegativeElbo(Bounded(), relaxit.estimator("straight-through")).bound
    assert Sign().kl_is_exact


def test_pairs_that_are_no_objective_are_rejected_before_step_0():
    with pytest.raises(ConfigurationError, match="needs soft samples"):
        NegativeElbo(RELAXATIONS[0], relaxit.estimator("st-gumbel"), "relaxed")
    with pytest.raises(Unsupported, match="log_space"):
        NegativeElbo(Sign(), relaxit.estimator("pathwise"), "relaxed")


@pytest.mark.parametrize("relaxation", RELAXATIONS, ids=repr)
@pytest.mark.parametrize("estimator", ["pathwise", "straight-through", "st-gumbel"])
def test_every_weight_gets_a_finite_gradient(relaxation, estimator):
    vae = tiny(relaxation)
    objective = NegativeElbo(relaxation, relaxit.estimator(estimator))
    terms = objective(vae, images(), torch.tensor(0.5))
    (terms.reconstruction + terms.kl).mean().backward()
    for name, p in vae.named_parameters():
        assert p.grad is not None, name
        assert p.grad.isfinite().all(), name
        assert p.grad.abs().sum() > 0, name
