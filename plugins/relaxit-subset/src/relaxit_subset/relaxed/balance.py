r"""The shift that makes independent inclusion probabilities add up to k.

The soft sample and the exact distribution both need the root c of ``sum_i sigmoid(x_i - c) = k``.
The soft sample is ``sigmoid(x - c)`` itself. The exact distribution, which does not change when a
constant is added to all logits, is computed at this shift, where plain probabilities neither
underflow nor cancel.

With a >= b the k-th and (k+1)-th largest scores, the root lies between ``(a + b) / 2 - log k`` and
``(a + b) / 2 + log(n - k)`` whatever the other scores are: a bracket of a few units, even where
scores are thousands apart. So scores are first centred at ``(a + b) / 2``, which loses nothing to
rounding near the threshold, and Newton's method runs inside the bracket.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from relaxit.autograd import Levels, in_all_modes

__all__ = ["balance", "centre"]

COARSE = 4
"""Iterations after which the sum is within a few hundredths of k."""
_FINE = {torch.float32: 6, torch.float64: 8}
"""Iterations after which the sum is k up to rounding, for 100 000 items and more."""


def centre(scores: Tensor, k: int) -> Tensor:  # [..., n] -> [..., n]
    """Subtract the midpoint of the k-th and (k+1)-th largest score.

    Where infinite scores leave no choice (exactly k items are not masked, or exactly k are forced,
    or k is 0 or n), every entry of the row becomes infinite: +inf if the item is chosen, else -inf.
    The midpoint counts as a constant: quantities computed from the result must not depend on it.
    """
    if k in (0, scores.shape[-1]):
        return scores + (math.inf if k else -math.inf)
    a, b = _around_the_threshold(scores.detach(), k)
    middle = a / 2 + b / 2  # a + b may overflow
    # The rounding error of the midpoint, which a low temperature would magnify.
    rest = ((a - middle) + (b - middle)) / 2
    x = (scores - middle) - torch.where(rest.isfinite(), rest, 0.0)
    # Infinity minus infinity, in rows that leave no choice: these entries keep their sign.
    return torch.where(x.isnan(), scores, x)


def _around_the_threshold(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k-th and the (k+1)-th largest score, each ``[..., 1]``."""
    n = scores.shape[-1]
    if k <= n // 2:
        ordered = scores.topk(k + 1, -1).values
        return ordered[..., k - 1 : k], ordered[..., k : k + 1]
    ordered = scores.topk(n - k + 1, -1, largest=False).values
    return ordered[..., n - k : n - k + 1], ordered[..., n - k - 1 : n - k]


def balance(x: Tensor, k: int, iterations: int | None = None) -> Tensor:  # [..., n] -> [..., 1]
    """Return the shift c at which ``sigmoid(x - c)`` sums to k.

    It has derivatives of every order in reverse mode and, outside compiled code, in forward mode;
    where forward mode is nested, up to the seventh.

    Args:
        x: centred scores ``[..., n]``, see :func:`centre`; may be infinite.
        k: desired sum.
        iterations: number of solver iterations; enough for full precision if None. There is no
            convergence test, so that a GPU is not synchronised.

    Example:
        >>> x = torch.tensor([4.0, 1.0, -1.0, -2.0])
        >>> float(torch.sigmoid(x - balance(x, 2)).sum())
        2.0
    """
    iterations = iterations or _FINE[x.dtype]
    shift: Tensor = in_all_modes(_Balance, _BalanceBothModes, _ordinary, x, k, iterations)
    return shift


class _Balance(torch.autograd.Function):
    """Implicit differentiation: dc = sum_i v_i dx_i / sum_i v_i with v = sigmoid'(x - c)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, k: int, iterations: int, levels: Levels | None) -> Tensor:
        del levels
        n = x.shape[-1]
        shift = torch.zeros_like(x[..., :1])
        if k in (0, n):
            return shift
        # Where the probabilities are far from 0 and 1 the root is near half this logarithm.
        shift = shift + 0.5 * math.log((n - k) / k)
        low = torch.full_like(shift, -math.log(k) - 1)  # a unit wider: the midpoint was rounded
        high = torch.full_like(shift, math.log(n - k) + 1)
        for _ in range(iterations):
            shift, low, high = _newton(x, k, shift, low, high)
        return shift

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0], output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        slope, total = _slopes(*ctx.saved_tensors)
        return grad * slope / total, None, None, None


class _BalanceBothModes(_Balance):
    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0], output)
        ctx.save_for_forward(inputs[0], output)
        ctx.levels = inputs[-1]

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: Any) -> Tensor:
        ctx.levels.number += 1
        slope, total = _slopes(*ctx.saved_tensors)
        return (slope * tangent).sum(-1, keepdim=True) / total


def _ordinary(x: Tensor, k: int, iterations: int) -> Tensor:
    """Return the shift with derivatives up to the seventh, by differentiating Newton's method.

    From a constant that equals the root, m steps give a function that agrees with the root up to
    order 2^m - 1. The value is not changed: what the steps would add to it is rounding.
    """
    shift = _Balance.forward(x.detach(), k, iterations, None)
    for _ in range(3):
        total = torch.sigmoid(x - shift).sum(-1, keepdim=True)
        shift = shift + (total - total.detach()) / _slopes(x, shift)[1]
    return shift


def _slopes(x: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Return v ``[..., n]`` and its sum ``[..., 1]``."""
    t = x - shift
    slope = torch.sigmoid(t) * torch.sigmoid(-t)
    # In a row without a choice every slope is 0, and so is the derivative.
    return slope, slope.sum(-1, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)


def _newton(
    x: Tensor, k: int, shift: Tensor, low: Tensor, high: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Take a Newton step on the logarithms of excess and deficit, nearly linear in the shift.

    The surplus ``sum_i sigmoid(x_i - c) - k`` is the sum of the small probabilities of items on the
    lower side, minus the sum of the complements on the upper side, plus a count. Where all are near
    0 or 1, subtracting k from the plain sum would leave only rounding errors.
    """
    t = x - shift
    upper = t.sign().clamp_min_(0)  # 1 or 0: multiplying by it is much faster than torch.where
    minor = torch.sigmoid(-t.abs())
    over = minor * upper
    deficit, count = over.sum(-1, keepdim=True), upper.sum(-1, keepdim=True) - k
    excess = minor.sum(-1, keepdim=True) - deficit
    deficit_slope = deficit - (over * minor).sum(-1, keepdim=True)
    slope = excess + deficit - (minor * minor).sum(-1, keepdim=True)
    excess_slope = slope - deficit_slope
    excess, deficit = excess + count.clamp_min(0), deficit - count.clamp_max(0)
    above = excess > deficit
    low, high = torch.where(above, shift, low), torch.where(above, high, shift)
    step = (excess.log() - deficit.log()) / (excess_slope / excess + deficit_slope / deficit)
    step = torch.where(step.isfinite(), step, 0.0)  # exactly balanced, or the slope is 0
    moved = shift + step
    inside = (moved >= low) & (moved <= high)
    return torch.where(inside, moved, (low + high) / 2), low, high
