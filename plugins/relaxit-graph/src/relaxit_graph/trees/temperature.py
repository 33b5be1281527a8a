"""Division by a temperature that leaves enough digits to the sums over trees."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from relaxit.temperature import divide_by_temperature, representable
from relaxit.tracing import may_branch_on_values

__all__ = ["divided"]

_RANGE = 2.0**27
"""Largest range of scores / temperature: rounded scores then still differ by 1e-8 of a nat."""


def divided(
    scores: Tensor,
    temperature: float | Tensor,
    has_tree: Callable[[Tensor], Tensor],
) -> Tensor:
    """Return scores over the temperature, in which numbers range over no more than ``2^27``.

    Where they would range over more, scores that are too low to matter become ``-inf``, such as
    those of -1e9 by which a user excludes edges. Where what is left may not contain a tree, the
    temperature acts as the range of the finite scores times ``2^-27`` instead.

    Args:
        scores: scores ``[*batch, n, n]``, shifted so that the greatest is 0.
        temperature: as that of :meth:`relaxit.PerturbAndRelax.relax`.
        has_tree: tells from a mask ``[*batch, n, n]`` of edges whether they contain a tree.

    Example:
        >>> scores = torch.tensor([[0.0, -1.0], [-1.0, 0.0]])
        >>> divided(scores, 1e-30, lambda edges: edges[..., 0, 1])
        tensor([[ 0.0000e+00, -1.3422e+08],
                [-1.3422e+08,  0.0000e+00]])
    """
    seen = scores.detach()
    least = seen.masked_fill(seen.isinf(), 0.0).amin((-2, -1), keepdim=True) / -_RANGE
    if isinstance(temperature, Tensor):
        temperature = temperature.to(scores.dtype)
        raised = torch.maximum(temperature, least)
    else:
        temperature = representable(temperature, scores.dtype)
        raised = least.clamp_min(temperature)
    if may_branch_on_values(scores) and not bool((least > temperature).any()):
        return divide_by_temperature(scores, temperature)
    # A tree of n of the best edges outweighs every tree with one of the far ones by e^(2^26).
    best = seen >= -_RANGE / (2 * int(scores.shape[-1])) * temperature
    enough = has_tree(best)[..., None, None]
    far = enough & (seen < -_RANGE * temperature)
    temperature = torch.where(enough, temperature, raised)
    return divide_by_temperature(scores.masked_fill(far, -torch.inf), temperature)
