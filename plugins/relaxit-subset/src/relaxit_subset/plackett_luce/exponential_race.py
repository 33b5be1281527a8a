r"""Mass and marginals of the first k of n exponential clocks: Gumbel-top-k without the order.

The k largest of theta + G are the first k to ring of n clocks with rates w = e^theta. A set S comes
first if all its clocks ring before any other clock does. With t the time at which the first other
clock rings, W the sum of the other rates, and y = log(W t),

    p(S) = int exp(y - e^y) prod_{i in S} (1 - exp(-r_i e^y)) dy,    r_i = w_i / W,

over the real line (v = exp(-e^y) gives the integral over [0, 1] of the literature). The integrand
is analytic and log-concave, so the trapezoidal rule on the interval where it matters converges
exponentially. Its maximum lies between 0 and log(1 + k), and on either side it decays at least as
fast as e^y and exp(-e^y), respectively, so that both ends of the interval are found by bisection.

References: Yellott, J. Math. Psychol. 15 (1977) (clocks and Gumbel noise); Kool, van Hoof, Welling,
"Estimating Gradients for Discrete Random Variables by Sampling without Replacement",
arXiv:2002.06043, appendix (the integral); Trefethen and Weideman, SIAM Review 56 (2014) (the
rule).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

__all__ = ["inclusion", "log_mass"]

_DEPTH = {torch.float32: 20.0, torch.float64: 40.0}
"""The integrand is followed down to e^-depth of its maximum."""
_POINTS = {torch.float32: 64, torch.float64: 192}
_MOST_NUMBERS = 1 << 24
"""Largest number of counts held at a time; without gradients, this bounds the memory."""


def log_mass(log_rates: Tensor) -> Tensor:  # [..., k] -> [...]
    """Return the log-probability that k clocks ring before a clock of rate 1.

    Args:
        log_rates: log-rates ``[..., k]``; +inf for a clock that rings immediately, -inf for one
            that never rings.

    Example:
        >>> log_mass(torch.tensor([0.0])).exp()  # two equal clocks
        tensor(0.5000)
        >>> log_mass(torch.zeros(2)).exp()  # two given ones of three
        tensor(0.3333)
    """
    never = (log_rates == -torch.inf).any(-1)
    rates = torch.where(never.unsqueeze(-1), 0.0, log_rates)
    with torch.no_grad():
        left, right, top = _interval(rates)
    points = _POINTS[rates.dtype]
    step = (right - left) / points
    y = left + step * (torch.arange(points, device=rates.device, dtype=rates.dtype) + 0.5)
    area = (_log_integrand(y, rates) - top).exp().sum(-1) * step.squeeze(-1)
    return torch.where(never, -torch.inf, area.log() + top.squeeze(-1))


def _log_integrand(y: Tensor, log_rates: Tensor) -> Tensor:  # [..., Q], [..., k] -> [..., Q]
    ring = _log_ring(log_rates.unsqueeze(-1) + y.unsqueeze(-2))
    return y - y.exp() + ring.sum(-2)


def _log_ring(s: Tensor) -> Tensor:
    """Return ``log(1 - exp(-e^s))``, the log-probability of having rung, with finite gradients."""
    small = s < -16.0  # here the next term of the series is below the last bit
    low = torch.where(small, s, -16.0)
    x = torch.where(small, 0.0, s.clamp_max(8.0)).exp()
    return torch.where(small, low - low.exp() / 2, torch.log(-torch.expm1(-x)))


def _interval(log_rates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return both ends of the interval and the log-maximum of the integrand, each ``[..., 1]``."""
    depth = _DEPTH[log_rates.dtype]
    low = torch.zeros_like(log_rates[..., :1])
    high = low + math.log(1 + log_rates.shape[-1])
    for _ in range(10):
        middle = (low + high) / 2
        s = (log_rates + middle).unsqueeze(-1)
        x = s.clamp(-30.0, 6.0).exp()
        rising = 1 - middle.exp() + (x / torch.expm1(x)).sum(-2) > 0
        low, high = torch.where(rising, middle, low), torch.where(rising, high, middle)
    peak = (low + high) / 2
    top = _log_integrand(peak, log_rates)

    def end(outside: Tensor) -> Tensor:
        inside = peak
        for _ in range(14):
            middle = (inside + outside) / 2
            deep = top - _log_integrand(middle, log_rates) > depth
            inside = torch.where(deep, inside, middle)
            outside = torch.where(deep, middle, outside)
        return outside

    # Left of the maximum the slope is at least e^peak - e^y; right of it -e^y dominates.
    return end(peak - depth - 2), end(peak + math.log(depth + 5)), top


def inclusion(theta: Tensor, k: int) -> Tensor:  # [..., n] -> [..., n]
    """Return the probability that each item is among the first k.

    Item i is among the first k if its clock rings, at time e^s, while at most k - 1 others have
    rung. The result is the integral over s of the density of the ring times the probability of such
    a count, for which counts are propagated forwards and backwards through the items. It takes
    O(n k) operations and numbers for each of some 50 sqrt(k + 4) points of s in float32 and
    130 sqrt(k + 4) in float64.

    Args:
        theta: log-rates ``[..., n]``; +inf for a clock that rings immediately, -inf for one that
            never rings. The (k+1)-th largest is finite.
        k: number of items that are chosen, with 0 < k < n.

    Example:
        >>> inclusion(torch.tensor([0.0, 0.0, 0.0, 0.0]), 1)
        tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    s, step = _times(theta.detach(), k)
    theta = theta.minimum(_ceiling(theta.detach(), k))
    entries, points = theta.numel() * k, s.shape[-1]
    if isinstance(entries, int):  # not exported for batches of any size, whose points go at once
        points = max(1, _MOST_NUMBERS // max(1, entries))
    parts = [_density_of_places(theta, part, k).sum(-2) for part in s.split(points, -1)]
    return torch.stack(parts).sum(0) * step


def _density_of_places(theta: Tensor, s: Tensor, k: int) -> Tensor:  # [..., Q] -> [..., Q, n]
    """Return the density, at log-time s, of each clock ringing while a place is still open."""
    time = (theta.unsqueeze(-2) + s.unsqueeze(-1)).clamp_max(8.0).exp()  # [..., Q, n]
    rung, waits = -torch.expm1(-time), torch.exp(-time)
    ahead = [pad(torch.ones_like(rung[..., :1]), (0, k - 1))]  # P(a items have rung), a < k
    for p, q in zip(rung.split(1, -1)[:-1], waits.split(1, -1)[:-1], strict=True):
        ahead.append(ahead[-1] * q + pad(ahead[-1][..., :-1], (1, 0)) * p)
    room = torch.ones_like(ahead[0])  # P(at most k - 1 in total | a of them so far)
    free: list[Tensor] = []
    for i in reversed(range(theta.shape[-1])):
        free.append((ahead[i] * room).sum(-1))
        p, q = rung[..., i : i + 1], waits[..., i : i + 1]
        room = room * q + pad(room[..., 1:], (0, 1)) * p
    return time * waits * torch.stack(free[::-1], -1)


def _ceiling(theta: Tensor, k: int) -> Tensor:
    """Return a log-rate so far above the (k+1)-th largest that its item is certainly chosen."""
    return theta.topk(k + 1, -1).values[..., -1:] + _DEPTH[theta.dtype]


def _times(theta: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return points ``[..., Q]`` in log-time at which a place may be taken, and their spacing.

    At the first point hardly any clock has rung; at the last point the clock of the k-th largest
    rate has rung, so that no place is left. Log-rates above the ceiling do not count, so that the
    interval is bounded.

    The spacing is chosen as follows. The number of clocks that have rung passes k within a time of
    width sd / slope. By Cauchy-Schwarz, and x e^{-x / 2} <= 1 - e^{-x} for each item, this is at
    least 1 / sqrt(k) in log-time. The rule resolves such a width w to exp(-2 pi^2 w^2 / step^2).
    """
    depth, n = _DEPTH[theta.dtype], theta.shape[-1]
    longest = 2 * depth + math.log(n) + math.log(depth)
    points = math.ceil(longest * math.sqrt(depth * (k + 4) / 2) / math.pi)
    low = theta.minimum(_ceiling(theta, k))
    first = -low.logsumexp(-1, keepdim=True) - depth
    last = -low.topk(k, -1).values[..., -1:] + math.log(depth)
    step = (last - first) / points
    grid = torch.arange(points, device=theta.device, dtype=theta.dtype) + 0.5
    return first + step * grid, step
