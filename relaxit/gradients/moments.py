r"""Bias, variance and cosine of estimates, with the level that chance alone would reach.

For estimates g of an exact gradient e there are three kinds of evidence: all values of g with their
masses (exact), independent draws of g, and draws of g within strata of known mass. Each gives the
mean error ``m = E[g] - e``, the mean squared error ``E|g - e|^2``, and the trace of the covariance
of the estimate of m, by which ``|m|^2`` is too large on average and which is subtracted:

    bias^2 = |m|^2 - tr Cov(m),        variance = E|g - e|^2 - bias^2.

Everything is centred on e, which avoids cancellation if g is nearly exact.

If there is no bias, ``|m|^2 / tr Cov(m)`` is a weighted mean of squared normal variables. Beyond
1.54 no weights make large values more likely than a single variable does (Szekely and Bakirov,
Probability Theory and Related Fields 126, 2003), so the chi-square distribution with one degree of
freedom gives a bound for all weights.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

_CHANCE = 6.635 - 1
"""Squared bias over ``tr Cov(m)`` that chance alone exceeds in at most one of 100 cases."""

__all__ = ["EstimateMoments", "Measures", "of_all", "of_draws", "of_strata", "summarise"]


@dataclass(frozen=True)
class EstimateMoments:
    """Moments of the estimates at one point.

    Attributes:
        exact: exact gradient ``[D]``.
        error: mean estimate minus the exact gradient, ``[D]``.
        uncertainty: trace of the covariance of ``error``; 0 if it is exact.
        squared: mean squared error.
        squared_uncertainty: variance of ``squared`` as an estimate.
        cosine: mean cosine of an estimate with the exact gradient; 0 for an estimate of zero.
        rows: number of estimates.
        not_finite: number of estimates with an entry that is not finite.
    """

    exact: Tensor
    error: Tensor
    uncertainty: float
    squared: float
    squared_uncertainty: float
    cosine: float
    rows: int
    not_finite: int


@dataclass(frozen=True)
class Measures:
    """Measures of an estimator at a case, relative to the norm of the exact gradient.

    Attributes:
        bias: norm of the mean estimate minus the exact gradient, debiased; 0 if the debiased square
            is negative.
        bias_squared: square of the bias, which may be negative by chance.
        noise_level: bias that chance alone exceeds in at most one of 100 cases without bias. A bias
            below it cannot be told from zero. 0 if the bias is exact.
        variance: trace of the covariance.
        mse: mean squared error of one estimate, variance plus squared bias.
        mse_error: standard error of ``mse``.
        cosine_of_mean: cosine of the mean estimate with the exact gradient, averaged over points.
        cosine: mean cosine of one estimate with the exact gradient.
        rows: number of estimates at all points.
    """

    bias: float
    bias_squared: float
    noise_level: float
    variance: float
    mse: float
    mse_error: float
    cosine_of_mean: float
    cosine: float
    rows: int

    @property
    def finite(self) -> bool:
        """Whether every measure is finite."""
        return all(map(math.isfinite, dataclasses.astuple(self)))


def of_all(estimates: Tensor, mass: Tensor, exact: Tensor) -> EstimateMoments:  # [S, D], [S], [D]
    """Compute exact moments from all values of an estimate without further noise."""
    difference = estimates - exact
    squared = mass @ difference.square().sum(-1)
    cosine = mass @ _cosines(estimates, exact)
    return EstimateMoments(
        exact,
        mass @ difference,
        0.0,
        float(squared),
        0.0,
        float(cosine),
        len(mass),
        _not_finite(estimates),
    )


def of_draws(estimates: Tensor, exact: Tensor) -> EstimateMoments:  # [n, D], [D]
    """Compute moments from at least two independent draws.

    Example:
        >>> moments = of_draws(torch.tensor([[1.0], [3.0]]), torch.tensor([1.0]))
        >>> moments.error, moments.squared, moments.uncertainty
        (tensor([1.]), 2.0, 1.0)
    """
    one_stratum = torch.zeros(len(estimates), dtype=torch.long, device=exact.device)
    return of_strata(estimates, one_stratum, exact.new_ones(1), exact)


def of_strata(
    estimates: Tensor,  # [n, D]
    stratum: Tensor,  # [n], of int64
    mass: Tensor,  # [S]
    exact: Tensor,  # [D]
) -> EstimateMoments:
    """Compute moments from independent draws, at least two in each of S strata of known mass."""
    number = torch.zeros_like(mass).index_add_(0, stratum, torch.ones_like(estimates[:, 0]))
    difference = estimates - exact
    squares = difference.square().sum(-1)

    def means(values: Tensor) -> Tensor:
        sums = values.new_zeros((len(mass), *values.shape[1:])).index_add_(0, stratum, values)
        return sums / number.view(-1, *(1,) * (values.dim() - 1))

    centres, mean_squares = means(difference), means(squares)
    spread = means((difference - centres[stratum]).square().sum(-1)) * number / (number - 1)
    spread_of_squares = means((squares - mean_squares[stratum]).square()) * number / (number - 1)
    weight = mass.square() / number
    return EstimateMoments(
        exact,
        mass @ centres,
        float(weight @ spread),
        float(mass @ mean_squares),
        float(weight @ spread_of_squares),
        float(mass @ means(_cosines(estimates, exact))),
        len(estimates),
        _not_finite(estimates),
    )


def summarise(points: Sequence[EstimateMoments]) -> Measures:
    """Compute the measures of a case from the moments at its points.

    The gradients of all points count as one long gradient; cosines are averaged. Estimates that are
    not finite give measures that are not finite.
    """
    size = sum(float(point.exact.square().sum()) for point in points)
    plain = sum(float(point.error.square().sum()) for point in points)
    uncertainty = sum(point.uncertainty for point in points)
    bias_squared = (plain - uncertainty) / size
    mse = sum(point.squared for point in points) / size
    means = [_cosines((point.exact + point.error).unsqueeze(0), point.exact) for point in points]
    return Measures(
        bias=math.sqrt(_positive(bias_squared)),
        bias_squared=bias_squared,
        noise_level=math.sqrt(_CHANCE * uncertainty / size),
        variance=_positive(mse - bias_squared),
        mse=mse,
        mse_error=math.sqrt(sum(point.squared_uncertainty for point in points)) / size,
        cosine_of_mean=float(torch.cat(means).mean()),
        cosine=sum(point.cosine for point in points) / len(points),
        rows=sum(point.rows for point in points),
    )


def _positive(value: float) -> float:
    """Replace negative values by 0; unlike ``max(0.0, value)``, NaN stays NaN."""
    return 0.0 if value < 0 else value


def _not_finite(estimates: Tensor) -> int:  # [n, D]
    return int((~estimates.isfinite()).any(-1).sum())


def _cosines(estimates: Tensor, exact: Tensor) -> Tensor:  # [n, D], [D] -> [n]
    tiny = torch.finfo(exact.dtype).tiny
    # Scaled first, because squares of estimates of 1e-200 would underflow.
    estimates = estimates / estimates.abs().amax(-1, keepdim=True).clamp_min(tiny)
    return cosine_similarity(estimates, exact.unsqueeze(0), dim=-1, eps=tiny)
