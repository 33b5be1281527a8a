"""Soft samples outside `support`, and how far outside they are."""

from __future__ import annotations

import torch
from torch import Tensor

from relaxit.testing.case import RelaxationCase, countable
from relaxit.testing.check import Failed

__all__ = ["distance_outside", "require_in_support"]

HALVINGS = 40
MOST_SAMPLES = 1000


def require_in_support(case: RelaxationCase, soft: Tensor, what: str = "", where: str = "") -> None:
    """Fail unless all soft samples ``[..., *event_shape]`` lie in ``support``.

    The message names the number of samples outside, and the distance of the worst one.

    Args:
        case: case of the relaxation.
        soft: soft samples.
        what: what they are, in the singular, such as ``"a sample with a mask"``.
        where: further conditions, appended in brackets.
    """
    outside = ~case.relaxation.support.check(soft)
    number = int(outside.sum())
    if not number:
        return
    name = f"{what} is" if what else f"{number} of {outside.numel()} soft samples are"
    under = f" ({where})" if where else ""
    worst = soft[outside][:MOST_SAMPLES].detach()
    raise Failed(f"{name} outside support, {distance_outside(case, worst)}{under}")


def distance_outside(case: RelaxationCase, soft: Tensor) -> str:
    """Return, in words, how far the worst of some samples is from a point that is inside.

    The point is the orthogonal projection onto the affine hull of the values, moved towards the
    mean of the values until ``support`` accepts it. So the distance is an upper bound, which is
    small wherever a small change is enough. This needs nothing of the constraint but its answers.

    Args:
        case: case of the relaxation.
        soft: samples outside, ``[M, *event_shape]``.
    """
    if not bool(soft.isfinite().all()):
        return "not finite"
    rows = soft.double().reshape(len(soft), -1)
    values = _values(case).double().reshape(-1, rows.shape[1])
    centre = values.mean(0)
    _, sizes, axes = torch.linalg.svd(values - centre, full_matrices=False)
    spanned = axes[sizes > 1e-8 * sizes.max().clamp_min(1e-300)]
    projected = centre + (rows - centre) @ spanned.mT @ spanned
    if not bool(_inside(case, centre.expand_as(rows), soft).all()):
        return "and so is the mean of the values"
    low, high = torch.zeros_like(rows[:, :1]), torch.ones_like(rows[:, :1])
    accepted = _inside(case, projected, soft).unsqueeze(1)
    high = torch.where(accepted, low, high)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        held = _inside(case, projected.lerp(centre.expand_as(rows), middle), soft).unsqueeze(1)
        low, high = torch.where(held, low, middle), torch.where(held, middle, high)
    nearest = projected.lerp(centre.expand_as(rows), high)
    return f"by at most {float((rows - nearest).norm(dim=1).max()):.2g}"


def _values(case: RelaxationCase) -> Tensor:
    """Return all values, or drawn ones where they cannot be listed."""
    if not countable()(case):
        return case.vertices
    return case.relaxation(case.params(500), 1.0).sample_hard((), case.generator(0))


def _inside(case: RelaxationCase, rows: Tensor, like: Tensor) -> Tensor:
    points = rows.reshape(len(rows), *case.relaxation.event_shape).to(like.dtype)
    inside: Tensor = case.relaxation.support.check(points)
    return inside
