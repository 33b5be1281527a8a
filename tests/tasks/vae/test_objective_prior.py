"""With a learned prior, KL terms and bounds are those of enumeration."""

from __future__ import annotations

import pytest
import torch

import relaxit
from relaxit.tasks.vae.evaluation import importance_weighted_bound
from relaxit.tasks.vae.model import Vae
from relaxit.tasks.vae.objective import NegativeElbo, kl_to_prior
from tests.helpers import seed
from tests.tasks.vae.test_objective import images, states, stored

RELAXATIONS = [relaxit.get("categorical", categories=3), relaxit.get("binary")]


def with_prior(relaxation, latents=2):
    torch.manual_seed(0)
    vae = Vae(relaxation, latents, 5, hidden=(8,), init="torch", learned_prior=True)
    with torch.no_grad():
        for parameter in vae.parameters():
            parameter.mul_(2.0)
        vae.prior_params.normal_(generator=seed(5))
    return vae


def masses(vae, relaxation, x):
    """log q(z|x) ``[S, B]`` and log p(z) ``[S]``."""
    z = states(relaxation, 2)
    q, p = relaxation.discrete(vae.encode(x)), relaxation.discrete(vae.prior_params)
    return q.log_prob(z[:, None].expand(-1, len(x), *z.shape[1:])).sum(-1), p.log_prob(z).sum(-1)


@pytest.mark.parametrize("relaxation", RELAXATIONS, ids=repr)
def test_the_kl_and_its_gradient_are_those_of_enumeration(relaxation):
    vae, x = with_prior(relaxation), images()
    log_q, log_p = masses(vae, relaxation, x)
    wanted = (log_q.exp() * (log_q - log_p[:, None])).sum(0)
    found = kl_to_prior(relaxation, vae, vae.encode(x))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    weights = [vae.prior_params, *vae.encoder.parameters()]
    for mine, other in zip(
        torch.autograd.grad(found.sum(), weights),
        torch.autograd.grad(wanted.sum(), weights),
        strict=True,
    ):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-4)
    with torch.no_grad():
        vae.prior_params.zero_()
    uniform = relaxation.kl_to_uniform(vae.encode(x)).sum(-1)
    torch.testing.assert_close(kl_to_prior(relaxation, vae, vae.encode(x)), uniform)


@pytest.mark.parametrize("relaxation", RELAXATIONS, ids=repr)
@torch.no_grad()
def test_importance_weighting_arrives_at_the_likelihood(relaxation):
    vae, x = with_prior(relaxation), images()
    z = states(relaxation, 2)
    _, log_p = masses(vae, relaxation, x)
    log_x = -vae.likelihood.loss(vae.decode(z)[:, None].expand(-1, len(x), -1), x)
    likelihood = float((log_p[:, None] + log_x).logsumexp(0).mean())
    found = importance_weighted_bound(vae, relaxation, stored(), samples=20_000, seed=1)
    assert found == pytest.approx(likelihood, abs=1e-2)


@pytest.mark.parametrize("relaxation", RELAXATIONS, ids=repr)
@torch.no_grad()
def test_the_relaxed_kl_is_the_log_ratio_to_the_learned_prior(relaxation):
    vae, x, tau = with_prior(relaxation), images(), torch.tensor(0.7)
    objective = NegativeElbo(relaxation, relaxit.estimator("pathwise"), "relaxed", 0.4)
    terms = objective(vae, x, tau, seed(0))
    q = relaxation(vae.encode(x), tau).log_space
    prior = relaxation(vae.prior_like(vae.encode(x)), 0.4).log_space
    value = q.rsample((), generator=seed(0))
    ratio = (q.log_prob(value) - prior.log_prob(value)).sum(-1)
    torch.testing.assert_close(terms.kl, ratio)
    uniform = relaxation(torch.zeros_like(vae.encode(x)), 0.4).log_space
    assert not torch.allclose(terms.kl, (q.log_prob(value) - uniform.log_prob(value)).sum(-1))
