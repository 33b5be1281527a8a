r"""Ranks in a race of exponential clocks: marginals of Plackett-Luce for any number of items.

Clocks of rates w = e^s ring in Plackett-Luce order. Item j has rank i (from 0) if just i of the
others ring before it. Given that it rings when its own time is x (in units of 1 / w_j), those
others are independent bits of probabilities 1 - exp(-x w_l / w_j), and

    P(item j has rank i) = int_0^inf e^-x  P(sum of the bits = i) dx.

The law of the sum is built bit by bit. With x = e^v the integrand is analytic and vanishes at both
ends, so that the midpoint rule converges exponentially. Each item has its own unit of time, so that
the interval is the same however far apart the scores are.

How fine: in the strip |Im v| <= a the generating function of n bits grows at most like
exp(0.33 n a^2), and the rule of step h is off by exp(0.33 n a^2 - 2 pi a / h). The best a gives
exp(-30 / (n h^2)); for few items a is limited to pi / 2, which the constant below allows for.

References: Yellott, J. Math. Psychol. 15 (1977) (clocks and Gumbel noise); Trefethen and Weideman,
SIAM Review 56 (2014) (the rule).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

__all__ = ["marginals"]

_DEPTH = {torch.float32: 20.0, torch.float64: 40.0}
"""The integrand is followed down to e^-depth."""
_MOST_NUMBERS = 1 << 24
"""Numbers that are carried at a time; without gradients, so much memory is enough."""


def marginals(scores: Tensor) -> Tensor:  # [*batch, n] -> [*batch, n, n]
    """Probability, in row i and column j, that item j has rank i.

    O(n^3) operations, and with gradients as many numbers, for each of some 30 sqrt(n) points in
    float32 and 80 sqrt(n) in float64: a row of 20 items takes 3 ms and 4 MB.

    Args:
        scores: log-rates, finite, in float32 or float64.

    Example:
        >>> marginals(torch.tensor([0.0, 1.0]))
        tensor([[0.2689, 0.7311],
                [0.7311, 0.2689]])
    """
    n = scores.shape[-1]
    v, step = _points(n, scores.dtype, scores.device)
    own = torch.eye(n, dtype=torch.bool, device=scores.device)
    ahead = scores.unsqueeze(-2) - scores.unsqueeze(-1)  # [..., j, l]
    ahead = ahead.masked_fill(own, -torch.inf)  # an item does not ring before itself
    at_a_time = max(1, _MOST_NUMBERS // max(1, ahead.numel() * n))
    parts = [_at(ahead, part) for part in v.split(at_a_time)]
    return torch.stack(parts).sum(0).transpose(-1, -2) * step


def _points(n: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, float]:
    """Points ``[Q]`` of log-time and their distance."""
    depth = _DEPTH[dtype]
    longest = depth + math.log(depth)
    points = math.ceil(longest * math.sqrt(depth * (n + 10) / 28))
    step = longest / points
    grid = torch.arange(points, dtype=dtype, device=device) + 0.5
    return grid * step - depth, step


def _at(ahead: Tensor, v: Tensor) -> Tensor:  # [..., j, l], [Q] -> [..., j, i]
    """The integrand, summed over points."""
    # Beyond e^8 a clock has certainly rung.
    time = (ahead.unsqueeze(-2) + v.unsqueeze(-1)).clamp_max(8.0).exp()  # [..., j, Q, l]
    rung, waits = -torch.expm1(-time), torch.exp(-time)
    number = torch.ones_like(time[..., :1])  # P(so many of the items so far have rung)
    for p, q in zip(rung.split(1, -1), waits.split(1, -1), strict=True):
        number = pad(number * q, (0, 1)) + pad(number * p, (1, 0))
    density = torch.exp(v - v.exp())
    return (number[..., :-1] * density.unsqueeze(-1)).sum(-2)
