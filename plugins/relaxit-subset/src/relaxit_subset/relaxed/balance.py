r"""The shift that makes independent inclusion probabilities add up to k.

Both sides of a k-subset need the root c of ``sum_i sigmoid(x_i - c) = k``: the relaxed sample is
``sigmoid(x - c)`` itself, and the exact law, which does not change when a constant is added to all
its logits, is worked out at the shift where plain probabilities neither underflow nor cancel.

With a >= b the k-th and (k+1)-th largest score, the root lies between ``(a + b) / 2 - log k`` and
``(a + b) / 2 + log(n - k)`` whatever the other scores are: a bracket of a few units, also where
scores are thousands apart. So scores are centred at ``(a + b) / 2`` first, which loses nothing to
rounding near the threshold, and Newton's method runs inside the bracket.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

__all__ = ["balance", "centre"]

COARSE = 4
"""Iterations after which the sum is within a few hundredths of k."""
_FINE = {torch.float32: 6, torch.float64: 8}
"""Iterations after which the sum is k up to rounding, for 100 000 items and more."""


def centre(scores: Tensor, k: int) -> Tensor:  # [..., n] -> [..., n]
    """Scores minus the middle of the k-th and (k+1)-th largest one.

    Where infinite scores leave no choice (exactly k items are not masked, or exactly k are forced,
    or k is 0 or n), every entry of the row becomes infinite, with the sign of what becomes of it.
    The middle counts as a constant: whatever is worked out from the result must not depend on it.
    """
    if k in (0, scores.shape[-1]):
        return scores + (math.inf if k else -math.inf)
    a, b = _around_the_threshold(scores.detach(), k)
    middle = a / 2 + b / 2  # a + b may be too large a number
    # What rounding took from the middle: a low temperature would magnify it.
    rest = ((a - middle) + (b - middle)) / 2
    x = (scores - middle) - torch.where(rest.isfinite(), rest, 0.0)
    # Infinite minus infinite: entries that keep their sign, in rows where nothing is open.
    return torch.where(x.isnan(), scores, x)


def _around_the_threshold(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k-th and the (k+1)-th largest score, each ``[..., 1]``."""
    n = scores.shape[-1]
    if k <= n // 2:
        ordered = scores.topk(k + 1, -1).values
        return ordered[..., k - 1 : k], ordered[..., k : k + 1]
    ordered = scores.topk(n - k + 1, -1, largest=False).values
    return ordered[..., n - k : n - k + 1], ordered[..., n - k - 1 : n - k]


def balance(x: Tensor, k: int, iterations: int | None = None) -> Tensor:  # [..., n] -> [..., 1]
    """The shift c at which ``sigmoid(x - c)`` sums to k.

    It has derivatives of every order, in reverse mode.

    Args:
        x: centred scores, see :func:`centre`; may be infinite.
        k: the sum wanted.
        iterations: of the solver; to the last bits if None. There is no test for convergence, so
            that a GPU need not wait.

    Example:
        >>> x = torch.tensor([4.0, 1.0, -1.0, -2.0])
        >>> float(torch.sigmoid(x - balance(x, 2)).sum())
        2.0
    """
    shift: Tensor = _Balance.apply(x, k, iterations or _FINE[x.dtype])
    return shift


class _Balance(torch.autograd.Function):
    """Implicit differentiation: dc = sum_i v_i dx_i / sum_i v_i with v = sigmoid'(x - c)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, k: int, iterations: int) -> Tensor:
        n = x.shape[-1]
        shift = torch.zeros_like(x[..., :1])
        if k in (0, n):
            return shift
        # Where the probabilities are far from 0 and 1 the root is near half the logarithm.
        shift = shift + 0.5 * math.log((n - k) / k)
        low = torch.full_like(shift, -math.log(k) - 1)  # a unit wider: the middle was rounded
        high = torch.full_like(shift, math.log(n - k) + 1)
        for _ in range(iterations):
            shift, low, high = _newton(x, k, shift, low, high)
        return shift

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, int, int], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0], output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        x, shift = ctx.saved_tensors
        t = x - shift
        slope = torch.sigmoid(t) * torch.sigmoid(-t)
        # A row without a choice has no slope anywhere, and its gradient is 0.
        total = slope.sum(-1, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
        return grad * slope / total, None, None


def _newton(
    x: Tensor, k: int, shift: Tensor, low: Tensor, high: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """One step for the logarithms of excess and deficit, which are nearly linear in the shift.

    The surplus ``sum_i sigmoid(x_i - c) - k`` is the sum of the small probabilities of items on the
    lower side, minus that of the complements on the upper side, plus a count: where all are near
    0 or 1, subtracting k from the plain sum would leave nothing but rounding.
    """
    t = x - shift
    upper = t.sign().clamp_min_(0)  # 1 or 0: a product with it is much faster than a choice by it
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
    step = torch.where(step.isfinite(), step, 0.0)  # balanced to the last bit, or no slope left
    moved = shift + step
    inside = (moved >= low) & (moved <= high)
    return torch.where(inside, moved, (low + high) / 2), low, high
