"""The negative ELBO of a variational autoencoder with discrete latents, and which bound it is.

Two pairs of sample and KL term are bounds: a *hard* sample with the *discrete* KL bounds the
discrete model, a *soft* sample with the log-ratio of the *relaxed* densities bounds the relaxed
model. A soft sample with the discrete KL (Jang et al.; most published code) bounds neither and is
called a surrogate. Whatever is minimised, the discrete ELBO is computed as well, from the same
encoder pass.

Reference: Maddison, Mnih, Teh, arXiv:1611.00712, section 3 and appendix C;
Jang, Gu, Poole, arXiv:1611.01144, section 3.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.distributions import kl_divergence

from relaxit.aliases import Generator
from relaxit.errors import ConfigurationError
from relaxit.estimators import Estimator, Pathwise, surrogate_with
from relaxit.relaxation import Relaxation, RelaxedDistribution
from relaxit.tasks.vae.model import Vae
from relaxit.training import ESTIMATOR_STATE

__all__ = ["ElboTerms", "NegativeElbo", "kl_to_prior"]


@dataclass(frozen=True, eq=False)
class ElboTerms:
    """Parts of the objective for a batch of B examples, each ``[B]``, in nats.

    Attributes:
        reconstruction: negative log-likelihood of the values, of the training sample.
        kl: KL term of the training objective, summed over latents.
        discrete_reconstruction: the same of a hard sample, without gradient.
        discrete_kl: KL of the discrete distributions, without gradient.
    """

    reconstruction: Tensor
    kl: Tensor
    discrete_reconstruction: Tensor
    discrete_kl: Tensor


def kl_to_prior(relaxation: Relaxation, model: Vae, params: Tensor) -> Tensor:
    """Return the KL ``[B]`` of the discrete distributions from the prior, summed over latents.

    In nats. Where the prior is uniform, a relaxation may have a bound in place of the divergence.

    Args:
        relaxation: the latent structure.
        model: the model, with the params of the prior if it is learned.
        params: params of the posterior, ``[B, latents, *param_shape]``.
    """
    if model.prior_params is None:
        return relaxation.kl_to_uniform(params).sum(-1)
    prior = relaxation.discrete(model.prior_like(params))
    divergence: Tensor = kl_divergence(relaxation.discrete(params), prior)
    return divergence.sum(-1)


def _as_they_are(device: torch.device) -> AbstractContextManager[None]:
    del device
    return nullcontext()


@dataclass(frozen=True)
class NegativeElbo:
    """The objective that training minimises.

    Args:
        relaxation: the latent structure.
        estimator: estimator of the gradient through the sample.
        kl: KL term, ``discrete`` or ``relaxed``.
        prior_temperature: temperature of the relaxed prior; None takes the posterior's.
        autocast: returns the context in which the networks run, for a lower precision.

    Raises:
        ConfigurationError: if sample and KL term do not belong together.
        Unsupported: if the relaxation or the estimator lacks a quantity; before the first step.
    """

    relaxation: Relaxation
    estimator: Estimator
    kl: Literal["discrete", "relaxed"] = "discrete"
    prior_temperature: float | None = None
    autocast: Callable[[torch.device], AbstractContextManager[None]] = _as_they_are

    def __post_init__(self) -> None:
        self.estimator.check(self.relaxation)
        if self.kl == "discrete":
            self.relaxation.kl_to_uniform(torch.zeros(self.relaxation.param_shape))
            return
        if not isinstance(self.estimator, Pathwise):
            raise ConfigurationError(
                "kl = 'relaxed' needs soft samples with their pathwise gradient, not those of "
                f"estimator {self.estimator.name!r}; use kl = 'discrete' or estimator 'pathwise'"
            )
        if not self.relaxation.capabilities.log_space:
            raise self.relaxation.unsupported("log_space, which kl = 'relaxed' needs")

    @property
    def bound(self) -> str:
        """Which bound the objective is."""
        if self.kl == "relaxed":
            return "negative ELBO of the relaxed model"
        if not self.estimator.hard:
            return "surrogate: soft sample with discrete KL, a bound on neither model"
        if not self.relaxation.kl_is_exact:
            return "hard sample with the relaxation's own bound on the KL of its distribution"
        if not self._samples_discrete_distribution:
            return "surrogate: hard sample of another distribution than the one whose KL is used"
        return "negative ELBO of the discrete model"

    def __call__(
        self, model: Vae, x: Tensor, temperature: Tensor, generator: Generator = None
    ) -> ElboTerms:
        """Compute the terms for examples ``[B, *shape]``; both objectives share one encoding."""
        with self.autocast(x.device):
            params = model.encode(x)
        q = self.relaxation(params, temperature, validate_args=False)

        def cost(z: Tensor) -> Tensor:
            with self.autocast(x.device):
                logits = model.decode(z)
            return model.likelihood.loss(logits, x)

        discrete_kl = kl_to_prior(self.relaxation, model, params)
        if self.kl == "relaxed":
            reconstruction, kl = self._relaxed(q, model, cost, generator)
        else:
            state = getattr(model, ESTIMATOR_STATE, None)
            reconstruction = surrogate_with(state, self.estimator, q, cost, generator)
            kl = discrete_kl
        with torch.no_grad():
            hard = (
                reconstruction
                if self._samples_discrete_distribution
                else cost(q.sample_hard((), generator))
            )
        return ElboTerms(reconstruction, kl, hard.detach(), discrete_kl.detach())

    def _relaxed(
        self,
        q: RelaxedDistribution,
        model: Vae,
        cost: Callable[[Tensor], Tensor],
        generator: Generator,
    ) -> tuple[Tensor, Tensor]:
        # In log space throughout: the density of a stored soft sample is not exact at a low
        # temperature, where its entries underflow.
        posterior = q.log_space
        value = posterior.rsample((), generator=generator)
        tau = q.temperature if self.prior_temperature is None else self.prior_temperature
        prior = self.relaxation(model.prior_like(q.params), tau, validate_args=False).log_space
        ratio = posterior.log_prob(value) - prior.log_prob(value)
        return cost(self.relaxation.from_log_space(value)), ratio.sum(-1)

    @property
    def _samples_discrete_distribution(self) -> bool:
        """Whether the training sample is itself a draw of the evaluated distribution."""
        able = self.relaxation.capabilities
        exact = self.estimator.exact_draw or able.exact_rounding or not able.discrete_distribution
        return self.estimator.hard and exact and not self.estimator.own_distribution
