"""Bounds of the discrete model on held-out images."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from relaxit.data import Binarise, read_batch
from relaxit.relaxation import Relaxation
from relaxit.tasks.vae.model import Vae
from relaxit.tasks.vae.objective import pixel_loss

__all__ = ["Bound", "discrete_elbo", "importance_weighted_bound"]

# Images per pass through the networks: on the CPU 400 to 2000 are equally fast, and more or fewer
# slower; a GPU needs more.
_ROWS = {"cpu": 1000}
_MANY_ROWS = 10_000


@dataclass(frozen=True)
class Bound:
    """Means over images, in nats. ``elbo`` is the bound itself, hence negative."""

    reconstruction: float
    kl: float

    @property
    def elbo(self) -> float:
        return -(self.reconstruction + self.kl)


@torch.no_grad()
def discrete_elbo(
    model: Vae,
    relaxation: Relaxation,
    stored: Tensor,  # [N, P] uint8
    levels: int,
    binarise: Binarise = "none",
    seed: int = 0,
) -> Bound:
    """Return the ELBO of the discrete model, with one hard sample per image.

    The same seed gives the same noise in every call, so that epochs differ by their weights only.
    """
    generator = torch.Generator(stored.device).manual_seed(seed)
    total = torch.zeros(2, dtype=torch.float64)
    for batch in stored.split(_rows(stored)):
        x = read_batch(batch, levels, binarise, generator)
        params = model.encode(x)
        hard = relaxation(params, validate_args=False).sample_hard((), generator)
        kl = relaxation.kl_to_uniform(params).sum(-1)
        loss = pixel_loss(model.decode(hard), x)
        total += torch.stack([loss.sum(), kl.sum()]).cpu().double()
    reconstruction, kl_mean = (total / len(stored)).tolist()
    return Bound(reconstruction, kl_mean)


@torch.no_grad()
def importance_weighted_bound(
    model: Vae,
    relaxation: Relaxation,
    stored: Tensor,  # [N, P] uint8
    levels: int,
    samples: int,
    binarise: Binarise = "none",
    seed: int = 0,
    progress: Callable[[int], object] = lambda done: None,
) -> float:
    """Return the mean of ``log 1/m sum_i p(x, z_i) / q(z_i | x)`` over images, in nats.

    A bound on the log-likelihood that tightens as the number of samples m grows. Memory does not
    grow with m.

    Args:
        samples: m, importance samples per image.
        progress: called with the number of images done.

    Raises:
        Unsupported: if the relaxation has no discrete distribution.

    Reference: Burda, Grosse, Salakhutdinov, arXiv:1509.00519, eq. 8.
    """
    generator = torch.Generator(stored.device).manual_seed(seed)
    total, done = 0.0, 0
    chunk = min(samples, 50)
    for batch in stored.split(max(1, 20 * _rows(stored) // chunk)):
        x = read_batch(batch, levels, binarise, generator)
        params = model.encode(x)
        posterior = relaxation.discrete(params)
        prior = relaxation.discrete(torch.zeros_like(params))
        log_sum = torch.full((len(batch),), -torch.inf, device=batch.device)
        for start in range(0, samples, chunk):
            z = posterior.sample((min(chunk, samples - start),), generator=generator)
            weight = (prior.log_prob(z) - posterior.log_prob(z)).sum(-1)
            weight = weight - pixel_loss(model.decode(z), x)
            log_sum = torch.logaddexp(log_sum, weight.logsumexp(0))
        total += float((log_sum - math.log(samples)).sum())
        done += len(batch)
        progress(done)
    return total / len(stored)


def _rows(stored: Tensor) -> int:
    return _ROWS.get(stored.device.type, _MANY_ROWS)
