r"""Where training must arrive: polynomial programming over independent bits, computed, not run.

With L bits of one logit theta and s = sigmoid(theta), the cost is 1/L sum |z_j - c|^p, and an
estimator's gradient for one bit has a mean and a variance that are sums over the two values of this
bit (for st-gumbel an integral over its noise; for rloo a sum over the other bits as well, of which
only the variance of their cost is needed). Adam's two averages then follow

    m_t = b1 m + (1 - b1) E g,    v_t = b2 v + (1 - b2) ((E g)^2 + Var g / B),

for batches of B rows, and theta decreases by ``lr m^ / (sqrt(v^) + eps)``: the path of training
without its noise, which 128 bits and several seeds average out. The terms left out are of second
order in the noise of a step.

Reference: Adam, Kingma and Ba, arXiv:1412.6980, algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["METHODS", "Problem", "follow"]

Moments = tuple[float, float]
"""Mean and variance of the gradient for one bit from one row."""

_NODES = (np.arange(2000) + 0.5) / 2000
_BETA1, _BETA2, _EPS = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Problem:
    """L independent bits of the same logit, and the cost ``1/L sum |z - c|^p``.

    Example:
        >>> Problem(p=2.0).optimum, round(Problem(p=2.0).expected_cost(0.0), 4)
        (0.2025, 0.2525)
    """

    p: float
    c: float = 0.45
    bits: int = 128

    @property
    def optimum(self) -> float:
        """The lowest expected cost: each bit takes the nearer value with probability one."""
        return float(min(self.c, 1 - self.c) ** self.p)

    @property
    def rise(self) -> float:
        """Cost of a bit at 1 minus its cost at 0, times L."""
        return float((1 - self.c) ** self.p - self.c**self.p)

    def expected_cost(self, theta: float) -> float:
        """Return the exact expected cost at logit theta."""
        return float(self.c**self.p + _sigmoid(theta) * self.rise)

    def slope(self, z: int) -> float:
        """Return the derivative of the cost with respect to a bit, at 0 or 1."""
        distance = z - self.c
        sign = math.copysign(1.0, distance)
        return float(self.p * sign * abs(distance) ** (self.p - 1) / self.bits)

    def over_values(self, theta: float, gradient: Callable[[int], float]) -> Moments:
        """Return the moments of a gradient that is a function of the bit's value."""
        s = _sigmoid(theta)
        zero, one = gradient(0), gradient(1)
        mean = (1 - s) * zero + s * one
        return mean, s * (1 - s) * (one - zero) ** 2

    def exact(self, theta: float) -> Moments:
        """Return the moments of the exact gradient, whose variance is zero."""
        s = _sigmoid(theta)
        return s * (1 - s) * self.rise / self.bits, 0.0

    def straight_through(self, theta: float) -> Moments:
        """Return the moments of ``s (1 - s)`` times the slope at the draw."""
        s = _sigmoid(theta)
        return self.over_values(theta, lambda z: s * (1 - s) * self.slope(z))

    def reinmax(self, theta: float) -> Moments:
        """Return the moments of ``2 J((s + z) / 2) - J(s) / 2`` times the slope at the draw.

        Here ``J(p) = p (1 - p)``.
        """
        s = _sigmoid(theta)

        def gradient(z: int) -> float:
            half = (s + z) / 2
            return (2 * half * (1 - half) - s * (1 - s) / 2) * self.slope(z)

        return self.over_values(theta, gradient)

    def st_gumbel(self, theta: float, temperature: float = 1.0) -> Moments:
        """Return the moments of the slope at the hard sample times the soft sample's derivative.

        They are integrals over the logistic noise.
        """
        score = theta + np.log(_NODES / (1 - _NODES))
        soft = 0.5 * (1 + np.tanh(score / (2 * temperature)))
        slopes = np.where(score > 0, self.slope(1), self.slope(0))
        gradient = soft * (1 - soft) / temperature * slopes
        return float(gradient.mean()), float(gradient.var())

    def rloo(self, theta: float, samples: int = 4) -> Moments:
        """Return the moments of the sample covariance of total cost and bit over n draws.

        With mu_ij the central moments of cost and bit, the variance of a sample covariance is
        ``mu_22 / n - (n - 2) mu_11^2 / (n (n - 1)) + mu_20 mu_02 / (n (n - 1))``.
        """
        s, n = _sigmoid(theta), samples
        spread, rise = s * (1 - s), self.rise / self.bits
        mean, cost = spread * rise, self.bits * spread * rise**2
        fourth = rise**2 * spread * (1 - 3 * spread) + (self.bits - 1) * spread**2 * rise**2
        pairs = n * (n - 1)
        return mean, fourth / n - (n - 2) * mean**2 / pairs + cost * spread / pairs


METHODS: dict[str, Callable[[Problem, float], Moments]] = {
    "exact": Problem.exact,
    "reinmax": Problem.reinmax,
    "rloo": Problem.rloo,
    "st-gumbel": Problem.st_gumbel,
    "straight-through": Problem.straight_through,
}
"""Moments by registered name of the estimator, with default options, at temperature 1."""


def follow(
    problem: Problem,
    moments: Callable[[Problem, float], Moments],
    steps: int,
    batch: int = 64,
    lr: float = 1e-3,
) -> list[float]:
    """Return the expected cost after each step of Adam, starting from even odds.

    Args:
        problem: bits and cost.
        moments: moments of the gradient, one of :data:`METHODS`.
        steps: number of steps.
        batch: rows per step, over which the gradient is averaged.
        lr: learning rate of Adam.

    Example:
        >>> costs = follow(Problem(p=2.0), Problem.straight_through, steps=2000)
        >>> round(costs[-1], 4)  # it stops at P(1) = 0.45, where its expected gradient is zero
        0.2475
    """
    theta = first = second = 0.0
    costs = []
    for step in range(1, steps + 1):
        mean, variance = moments(problem, theta)
        first += (1 - _BETA1) * (mean - first)
        second += (1 - _BETA2) * (mean**2 + variance / batch - second)
        scale = math.sqrt(second / (1 - _BETA2**step)) + _EPS
        theta -= lr * first / (1 - _BETA1**step) / scale
        costs.append(problem.expected_cost(theta))
    return costs


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))
