r"""The perturbed Fenchel-Young loss, which trains scores to give a target vertex.

    F(theta) - <theta, target>,    F(theta) = E max_y <theta + s Z, y>,

is, up to a constant, the Fenchel-Young loss of the perturbed maximum. It is convex in theta, its
gradient is ``E y(theta + s Z) - target``, and it is minimal where the mean vertex is the target.
Neither the argmax nor the target needs to be differentiable, and no cost is evaluated. For one-hot
values with Gumbel noise the loss is the cross-entropy plus Euler's constant.

Value and gradient are means over ``draws`` draws, both unbiased. Memory is that of as many values.

Reference: Berthet, Blondel, Teboul, Cuturi, Vert, Bach, arXiv:2002.08676, section 4.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from relaxit.arithmetic import without_autocast
from relaxit.dtypes import compute_dtype
from relaxit.errors import ConfigurationError
from relaxit.estimators.common import NOISES, noise_of, solver
from relaxit.losses.counts import check_count
from relaxit.noise import Source
from relaxit.relaxation import Relaxation
from relaxit.shapes import batch_shape_of, check_value

__all__ = ["fenchel_young_loss"]


def fenchel_young_loss(
    relaxation: Relaxation,
    params: Tensor,
    target: Tensor,
    *,
    draws: int = 10,
    scale: float = 1.0,
    noise: NOISES = "own",
    generator: Source = None,
) -> Tensor:
    """Compute the loss ``[*batch]`` of scores against target values.

    Args:
        relaxation: any PerturbAndRelax in which the score of a value is linear in params.
        params: scores ``[*batch, *param_shape]``; infinite where the relaxation allows it.
        target: vertices ``[*batch, *event_shape]``; or means of vertices, if params have the shape
            of values.
        draws: number of draws of the noise, at least 1.
        scale: factor s of the noise.
        noise: ``own`` for the relaxation's noise (Gumbel or logistic), or ``gaussian``.
        generator: source of randomness.

    Returns:
        The loss in float32 or float64; ``+inf`` where a target is masked.

    Raises:
        Unsupported: if the relaxation has no argmax of scores, if the score of a value is not
            linear in params, or if the density of its noise is not known.
        ConfigurationError: if ``draws``, ``scale`` or ``noise`` is not legal.
        TypeError: if ``relaxation`` is not a relaxation.
        ShapeError: if the target does not broadcast against the batch.
        DomainError: if the target is not a tensor.

    Example:
        >>> import torch, relaxit
        >>> logits = torch.zeros(3, requires_grad=True)
        >>> target = torch.tensor([0.0, 1.0, 0.0])
        >>> categorical = relaxit.get("categorical", categories=3)
        >>> fenchel_young_loss(categorical, logits, target, draws=100).backward()
        >>> logits.grad.sign()
        tensor([ 1., -1.,  1.])
    """
    owner = "fenchel_young_loss"
    solved = solver(owner, relaxation, "-q.discrete.log_prob(target)")
    check_count(owner, "draws", draws, 1)
    if not 0 < scale < math.inf:
        raise ConfigurationError(f"{owner}: scale must be positive and finite, got {scale}")
    drawn, _ = noise_of(owner, solved, noise)
    rank = len(relaxation.param_shape)
    batch = batch_shape_of(owner, "params", params, relaxation.param_shape)
    check_value(owner, target, batch, relaxation.event_shape)
    theta = params.to(compute_dtype(params.dtype))
    wanted = solved.statistics(target.to(theta.dtype))
    shape = torch.Size((draws, *batch, *solved.noise_shape))
    z = scale * drawn(shape, dtype=theta.dtype, device=theta.device, generator=generator)
    with without_autocast(theta):
        best = solved.argmax(solved.add_noise(theta.detach(), z)).to(theta.dtype)
    found = solved.statistics(best)
    difference = found - wanted
    # Where vertex and target agree the score does not matter, even if it is infinite.
    scores = theta.masked_fill(difference == 0, 0.0) * difference
    terms = scores + solved.add_noise(torch.zeros_like(theta), z) * found
    return (terms.flatten(terms.dim() - rank).sum(-1) if rank else terms).mean(0)
