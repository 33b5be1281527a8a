"""Noise for scores, the derivative of its log-density, and the vertices of perturbed scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from relaxit import noise
from relaxit.errors import Unsupported
from relaxit.perturb import PerturbAndRelax
from relaxit.relaxation import Relaxation

__all__ = ["NOISES", "Noise", "noise_of", "solver"]

Noise = Callable[..., Tensor]
NOISES = Literal["own", "gaussian"]


def gaussian(shape: torch.Size, *, generator: noise.Source = None, **kind: Any) -> Tensor:
    """Standard normal noise, by the inverse of its distribution function: one uniform a number."""
    return torch.special.ndtri(noise.uniform(shape, generator=generator, **kind))


_SCORES: dict[Noise, Callable[[Tensor], Tensor]] = {
    noise.gumbel: lambda z: 1 - torch.exp(-z),
    noise.logistic: lambda z: torch.tanh(z / 2),
    gaussian: lambda z: z,
}
"""For each noise ``-d/dz log density(z)``, which has mean 0 and is unbounded for Gumbel noise."""


def solver(owner: str, relaxation: Relaxation) -> PerturbAndRelax:
    """The relaxation, if it has an argmax of scores.

    Raises:
        Unsupported: naming the owner, if it has none.
    """
    if not isinstance(relaxation, PerturbAndRelax):
        raise Unsupported(
            f"{owner} needs an argmax of scores (a PerturbAndRelax), which relaxation "
            f"{relaxation.name!r} does not have; try 'straight-through'"
        )
    return relaxation


def noise_of(
    owner: str, relaxation: PerturbAndRelax, kind: NOISES
) -> tuple[Noise, Callable[[Tensor], Tensor]]:
    """A noise, and the derivative of its log-density, times -1.

    Raises:
        Unsupported: naming the owner, if the relaxation's own noise is none that is known.
    """
    if kind == "gaussian":
        return gaussian, _SCORES[gaussian]
    own, cls = relaxation.noise, type(relaxation)
    drawn = noise.gumbel if own is PerturbAndRelax.noise else own
    if drawn not in _SCORES or cls.perturb is not PerturbAndRelax.perturb:
        raise Unsupported(
            f"{owner} needs noise of a known density, and that of relaxation {relaxation.name!r} "
            "is its own; use noise=gaussian"
        )
    return drawn, _SCORES[drawn]
