"""Noise for scores, the derivative of its log-density, and the vertices of perturbed scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from relaxit import noise
from relaxit.errors import ConfigurationError, Unsupported
from relaxit.perturb import PerturbAndRelax
from relaxit.relaxation import Relaxation

__all__ = ["NOISES", "Noise", "noise_of", "solver"]

Noise = Callable[..., Tensor]
NOISES = Literal["own", "gaussian"]


def gaussian(shape: torch.Size, *, generator: noise.Source = None, **kind: Any) -> Tensor:
    """Draw standard normal noise by the inverse of its CDF, from one uniform per number."""
    return torch.special.ndtri(noise.uniform(shape, generator=generator, **kind))


_SCORES: dict[Noise, Callable[[Tensor], Tensor]] = {
    noise.gumbel: lambda z: 1 - torch.exp(-z),
    noise.logistic: lambda z: torch.tanh(z / 2),
    gaussian: lambda z: z,
}
"""``-d/dz log density(z)`` for each noise; its mean is 0, and it is unbounded for Gumbel noise."""


def solver(
    owner: str, relaxation: Relaxation, instead: str = "'straight-through'"
) -> PerturbAndRelax:
    """Return the relaxation, after a check that it has an argmax of scores.

    Args:
        owner: who needs it, for the message.
        relaxation: the relaxation.
        instead: what to try where it has none.

    Raises:
        Unsupported: if it has none; names the owner.
        TypeError: if it is not a relaxation.
    """
    if not isinstance(relaxation, Relaxation):
        raise TypeError(f"{owner}: the relaxation must be an object, got {relaxation!r}")
    if not isinstance(relaxation, PerturbAndRelax):
        raise Unsupported(
            f"{owner} needs an argmax of scores (a PerturbAndRelax), which relaxation "
            f"{relaxation.name!r} does not have; try {instead}"
        )
    return relaxation


def noise_of(
    owner: str, relaxation: PerturbAndRelax, kind: NOISES
) -> tuple[Noise, Callable[[Tensor], Tensor]]:
    """Return a noise, and the negative derivative of its log-density.

    Raises:
        Unsupported: if the density of the relaxation's own noise is not known; names the owner.
        ConfigurationError: if there is no such noise.
    """
    if kind not in get_args(NOISES):
        raise ConfigurationError(f"{owner}: noise must be own or gaussian, got {kind!r}")
    if kind == "gaussian":
        return gaussian, _SCORES[gaussian]
    sampler, cls = relaxation.noise, type(relaxation)
    drawn = noise.gumbel if sampler is PerturbAndRelax.noise else sampler
    if drawn not in _SCORES or cls.perturb is not PerturbAndRelax.perturb:
        raise Unsupported(
            f"{owner} needs noise of a known density, but relaxation {relaxation.name!r} has its "
            "own noise; use noise=gaussian"
        )
    return drawn, _SCORES[drawn]
