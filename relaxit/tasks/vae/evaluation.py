"""Bounds of the discrete model on held-out examples."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from relaxit.data import Examples
from relaxit.relaxation import Relaxation
from relaxit.tasks.vae.model import Vae
from relaxit.tasks.vae.objective import kl_to_prior

__all__ = ["Bound", "discrete_elbo", "importance_weighted_bound"]

# Examples per pass through the networks: on the CPU 400 to 2000 are equally fast, and more or fewer
# slower; a GPU needs more.
_ROWS = {"cpu": 1000}
_MANY_ROWS = 10_000


@dataclass(frozen=True)
class Bound:
    """Means over examples, in nats. ``elbo`` is the bound itself, hence negative."""

    reconstruction: float
    kl: float

    @property
    def elbo(self) -> float:
        return -(self.reconstruction + self.kl)


@torch.no_grad()
def discrete_elbo(model: Vae, relaxation: Relaxation, part: Examples, seed: int = 0) -> Bound:
    """Return the ELBO of the discrete model, with one hard sample per example.

    The same seed gives the same noise in every call, so that epochs differ by their weights only.
    """
    generator = torch.Generator(part.device).manual_seed(seed)
    total = torch.zeros(2, dtype=torch.float64)
    for batch in part.batches(_rows(part), generator):
        x = batch.inputs
        params = model.encode(x)
        hard = relaxation(params, validate_args=False).sample_hard((), generator)
        kl = kl_to_prior(relaxation, model, params)
        loss = model.likelihood.loss(model.decode(hard), x)
        total += torch.stack([loss.sum(), kl.sum()]).cpu().double()
    reconstruction, kl_mean = (total / len(part)).tolist()
    return Bound(reconstruction, kl_mean)


@torch.no_grad()
def importance_weighted_bound(
    model: Vae,
    relaxation: Relaxation,
    part: Examples,
    samples: int,
    seed: int = 0,
    progress: Callable[[int], object] = lambda done: None,
) -> float:
    """Return the mean of ``log 1/m sum_i p(x, z_i) / q(z_i | x)`` over examples, in nats.

    A bound on the log-likelihood that tightens as the number of samples m grows. Memory does not
    grow with m.

    Args:
        samples: m, importance samples per example.
        progress: called with the number of examples done.

    Raises:
        Unsupported: if the relaxation has no discrete distribution.

    Reference: Burda, Grosse, Salakhutdinov, arXiv:1509.00519, eq. 8.
    """
    generator = torch.Generator(part.device).manual_seed(seed)
    total, done = 0.0, 0
    chunk = min(samples, 50)
    for batch in part.batches(max(1, 20 * _rows(part) // chunk), generator):
        x = batch.inputs
        params = model.encode(x)
        posterior = relaxation.discrete(params)
        prior = relaxation.discrete(model.prior_like(params))
        log_sum = torch.full((len(batch),), -torch.inf, device=batch.device)
        for start in range(0, samples, chunk):
            z = posterior.sample((min(chunk, samples - start),), generator=generator)
            weight = (prior.log_prob(z) - posterior.log_prob(z)).sum(-1)
            weight = weight - model.likelihood.loss(model.decode(z), x)
            log_sum = torch.logaddexp(log_sum, weight.logsumexp(0))
        total += float((log_sum - math.log(samples)).sum())
        done += len(batch)
        progress(done)
    return total / len(part)


def _rows(part: Examples) -> int:
    return _ROWS.get(part.device.type, _MANY_ROWS)
