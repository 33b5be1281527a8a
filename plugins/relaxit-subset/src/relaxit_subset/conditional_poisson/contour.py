r"""Partition function and marginals of the conditional Poisson distribution, by a contour integral.

Let z_i be independent bits with probability p_i = sigmoid(t_i), and condition on their sum being k.
The probability P of that sum is a Fourier coefficient of F(phi) = prod_i (1 - p_i + p_i e^{i phi}),

    P = 1/M sum_j e^{-i k phi_j} F(phi_j),    phi_j = 2 pi (j + 1/2) / M,    j = 0 ... M - 1,

and the conditional distribution is the mixture, with complex weights
W_j = e^{-i k phi_j} F(phi_j) / (M P), of independent bits with means
r_ij = p_i e^{i phi_j} / (1 - p_i + p_i e^{i phi_j}). So marginals are ``sum_j W_j r_ij`` and the
covariance of z_i and z_l is ``sum_j W_j r_ij r_lj`` minus the product of their means. This takes
O(n M) operations, and memory for one vector of items.

**Few points are enough**, whatever n and k. Logits are shifted so that the p_i sum to k
(:mod:`relaxit_subset.relaxed.balance`), which does not change the distribution. With
V = sum_i p_i (1 - p_i):

* the rule with M points adds the probabilities of k, k +- M, k +- 2 M, ..., and Bernstein's
  inequality bounds the unwanted ones by e^{-L} for M >= L/3 + sqrt(L^2/9 + 2 L V);
* ``|F(phi)| <= exp(-V (1 - cos phi))``, so points beyond the angle where this bound is e^{-L} are
  left out.

Each row has its own M. For a row with a small variance M is small, and for a row with a large
variance few of the M points count. In the worst case 13 points count for float32 (L = 18) and 27
for float64 (L = 38), after halving by symmetry under conjugation. The half step keeps the points
away from 0 and pi, where a factor can vanish. P is at least of order 1 / sqrt(V) and ``|F|`` is at
most 1, so nothing cancels. To keep probabilities near 1 accurate as well, items with p_i > 1/2 are
represented by their complements, the *minor* side. Factors are rounded, and equal factors are all
rounded in the same direction: in float32, with 100 000 equal items, this costs the marginals four
of their seven digits.

References: Hong, Comput. Stat. Data Anal. 59 (2013) (the Fourier form of the Poisson-binomial
distribution); Chen, Dempster, Liu, Biometrika 81 (1994) (the conditional Poisson distribution);
Ahmed, Zeng, Niepert, Van den Broeck, "SIMPLE", arXiv:2210.01941 (its use for gradients).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from relaxit.autograd import Levels, in_all_modes
from relaxit.tracing import recorded

__all__ = ["CHUNK", "EXPONENT", "POINTS", "chunk_size", "minor_marginals", "rule_size"]

EXPONENT = {torch.float32: 18.0, torch.float64: 38.0}
"""L: contributions below e^-L are left out."""
POINTS = {dtype: math.ceil(x * (1 + math.sqrt(10)) / 6) for dtype, x in EXPONENT.items()}
"""Number of points that are kept: those of half a circle at V = L / 2, the worst case."""
CHUNK = 1 << 18
"""Entries of a temporary that fits in the cache of a core. Larger batches go point by point."""


def minor_marginals(u: Tensor, sign: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the log-probability of the sum and the conditional probabilities of the minor sides.

    Args:
        u: negative absolute values ``[..., n]`` of logits t that are balanced to k (the error
            bounds hold for balanced logits only); -inf for an item without a choice.
        sign: signs ``[..., n]``, -1 where t > 0, so that the minor side means *not* chosen, else 1.
        k: number of items that are chosen.

    Returns:
        ``[...]`` log P(sum of z = k) of independent bits, and ``[..., n]`` marginals of the minor
        side given that sum. Both have derivatives of every order in ``u``, in reverse and, outside
        compiled code, in forward mode. They are exact for the logits of the distribution, for which
        a constant shift is immaterial.
    """
    found = in_all_modes(_Contour, _ContourBothModes, _ordinary, u, sign, k)
    log_probability, minor, *_ = found
    return log_probability, minor


def _ordinary(u: Tensor, sign: Tensor, k: int) -> tuple[Tensor, ...]:
    log_probability, tilted = _tilt(u, sign, k)
    return log_probability, _marginals(tilted), *tilted[2:]


class _Tilted(NamedTuple):
    """Rows of independent bits and the weights of the Q points of the circle that are kept.

    Attributes:
        minor: probabilities ``[..., n]`` of the minor sides.
        sign: signs ``[..., n]``, -1 where the minor side means not chosen.
        real, imaginary: weights ``[..., Q]``, doubled for their conjugates; the real parts sum to
            1.
        versine, sine: 1 - cos and sin of the angles, ``[..., Q]``.
    """

    minor: Tensor
    sign: Tensor
    real: Tensor
    imaginary: Tensor
    versine: Tensor
    sine: Tensor

    def points(self) -> list[tuple[Tensor, ...]]:
        """Return weights and angles in chunks, each ``[..., q, 1]``."""
        columns = (self.real, self.imaginary, self.versine, self.sine)
        q = chunk_size(self.minor)
        return list(zip(*(column.unsqueeze(-1).split(q, -2) for column in columns), strict=True))


def _tilt(u: Tensor, sign: Tensor, k: int) -> tuple[Tensor, _Tilted]:
    """Return the log-probability of the sum and the weights of the points."""
    minor = torch.sigmoid(u)
    half, points = rule_size(minor.detach())
    j = torch.arange(points, device=u.device, dtype=u.dtype)
    angle = (j + 0.5) * (math.pi / half)  # [..., Q]
    versine, sine = 2 * (angle / 2).sin().square(), angle.sin()
    rest = k - (1 - sign).sum(-1, keepdim=True) / 2  # sum of the signed minor sides
    product = _product_in_real_numbers if recorded() else _product
    a, b = product(minor, sign, versine, sine)
    cos, sin = (rest * angle).cos(), (rest * angle).sin()
    turned = a * cos + b * sin, b * cos - a * sin
    real, imaginary = (torch.where(j < half, part, 0.0) / half for part in turned)
    probability = real.sum(-1, keepdim=True)
    real, imaginary = real / probability, imaginary / probability
    tilted = _Tilted(minor, sign, real, imaginary, versine, sine)
    return probability.squeeze(-1).log(), tilted


def _product(minor: Tensor, sign: Tensor, versine: Tensor, sine: Tensor) -> tuple[Tensor, Tensor]:
    """Return real and imaginary part ``[..., Q]`` of F, the product over all items."""
    whole, signed, q = minor.unsqueeze(-2), (minor * sign).unsqueeze(-2), chunk_size(minor)
    columns = (column.unsqueeze(-1).split(q, -2) for column in (versine, sine))
    products = [
        torch.complex(1 - whole * v, signed * s).prod(-1) for v, s in zip(*columns, strict=True)
    ]
    product = torch.cat(products, -1)
    return product.real, product.imag


def _product_in_real_numbers(
    minor: Tensor, sign: Tensor, versine: Tensor, sine: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the same where operations are recorded: ONNX has no products of complex numbers."""
    a = 1 - minor.unsqueeze(-2) * versine.unsqueeze(-1)
    b = (minor * sign).unsqueeze(-2) * sine.unsqueeze(-1)
    while (n := a.shape[-1]) > 1:  # neighbours are multiplied; the last one of an odd number stays
        even = n // 2 * 2
        (a0, a1), (b0, b1) = ((x[..., :even:2], x[..., 1:even:2]) for x in (a, b))
        a, b = (
            torch.cat([product, x[..., even:]], -1)
            for product, x in ((a0 * a1 - b0 * b1, a), (a0 * b1 + b0 * a1, b))
        )
    return a.squeeze(-1), b.squeeze(-1)


def rule_size(minor: Tensor) -> tuple[Tensor, int]:
    """Return half of M for each row, ``[..., 1]``, and the number of points that are kept."""
    exponent, n = EXPONENT[minor.dtype], minor.shape[-1]
    variance = (minor * (1 - minor)).sum(-1, keepdim=True)
    whole = exponent / 3 + (exponent**2 / 9 + 2 * exponent * variance).sqrt()
    most = n // 2 + 1  # more than n points: exact without any tail bound
    return (whole / 2).ceil().clamp_max(most), min(POINTS[minor.dtype], most)


def chunk_size(minor: Tensor) -> int:
    """Return the number of points that are computed at a time, at least 1."""
    entries: Any = minor.numel()
    if not isinstance(entries, int):  # exported for batches of any size
        return 1
    return max(1, CHUNK // max(1, entries))


def _over_points(x: Tensor) -> Tensor:  # [..., q, n] -> [..., n]
    # In large batches there is one point; summing over it would take as long as four products.
    return x.squeeze(-2) if x.shape[-2] == 1 else x.sum(-2)


def _marginals(tilted: _Tilted) -> Tensor:
    """Compute ``sum_j W_j r_ij`` of the minor sides in real arithmetic."""
    m, sign = tilted.minor.unsqueeze(-2), tilted.sign.unsqueeze(-2)
    major = 1 - m
    spread, signed = 2 * m * major, major * sign
    total = torch.zeros_like(tilted.minor)
    for real, imaginary, versine, sine in tilted.points():
        # e^{i phi} conj(h) = m + (1 - m) e^{i phi}, and |h|^2 = 1 - 2 m (1 - m) (1 - cos phi).
        numerator = real * (1 - major * versine) - signed * (imaginary * sine)
        total = total + _over_points(numerator / (1 - spread * versine))
    return tilted.minor * total.clamp_min(0.0)  # of order 1, or zero up to rounding


def _covariance(tilted: _Tilted, mean: Tensor, vector: Tensor) -> Tensor:
    """Multiply the covariance of the signed minor sides by a vector ``[..., n]``."""
    m, sign, v = (part.unsqueeze(-2) for part in (tilted.minor, tilted.sign, vector))
    product = m * (1 - m)
    spread, signed = 2 * product, product * sign
    centre = (mean * vector).sum(-1)[..., None, None]
    total = mean * vector
    for real, imaginary, versine, sine in tilted.points():
        scale = 1 / (1 - spread * versine)
        a = (m - product * versine) * scale  # r = a + i b
        b = signed * sine * scale
        s, t = (a * v).sum(-1, keepdim=True) - centre, (b * v).sum(-1, keepdim=True)
        x = real * s - imaginary * t - v * (real * a - imaginary * b)
        y = real * t + imaginary * s - v * (real * b + imaginary * a)
        total = total + _over_points(a * x - b * y)
    return total


class _Contour(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(u: Tensor, sign: Tensor, k: int, levels: Levels | None) -> tuple[Tensor, ...]:
        del levels
        return _ordinary(u, sign, k)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        u, sign, ctx.k, ctx.levels = inputs
        ctx.mark_non_differentiable(*output[2:])
        ctx.save_for_backward(u, sign, *output[1:])

    @staticmethod
    def backward(ctx: Any, grad_log: Tensor, grad_mean: Tensor, *_: Any) -> tuple[Any, ...]:
        u, sign, mean, *weights = ctx.saved_tensors
        through = _times_covariance(u, sign, grad_mean, mean, *weights, ctx.k)
        return grad_log.unsqueeze(-1) * (mean - torch.sigmoid(u)) + through, None, None, None


class _ContourBothModes(_Contour):
    generate_vmap_rule = False  # the generated rule has no jvp for several outputs

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], u: Tensor, sign: Tensor, *rest: Any
    ) -> tuple[Any, ...]:
        u, sign = (
            x.expand(info.batch_size, *x.shape) if dim is None else x.movedim(dim, 0)
            for x, dim in zip((u, sign), in_dims, strict=False)
        )
        return _ContourBothModes.apply(u, sign, *rest), (0,) * 6

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        _Contour.setup_context(ctx, inputs, output)
        ctx.save_for_forward(*inputs[:2], *output[1:])

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: Any) -> tuple[Any, ...]:
        ctx.levels.number += 1
        u, sign, mean, *weights = ctx.saved_tensors
        change = ((mean - torch.sigmoid(u)) * tangent).sum(-1)
        through = _times_covariance(u, sign, tangent, mean, *weights, ctx.k)
        return change, through, None, None, None, None


def _times_covariance(*arguments: Any) -> Tensor:
    """Multiply the derivative of the marginals, which is symmetric, by a vector."""
    product: Tensor = in_all_modes(
        _Covariance, _CovarianceBothModes, _ordinary_covariance, *arguments
    )
    return product


def _ordinary_covariance(u: Tensor, sign: Tensor, vector: Tensor, *rest: Any) -> Tensor:
    tilted = _tilt(u, sign, rest[-1])[1]  # mean and weights as functions of u
    return _covariance(tilted, _marginals(tilted), vector)


class _Covariance(torch.autograd.Function):
    """The derivative of the marginals, which is symmetric, times a vector.

    Arguments are named one by one because compiled code before torch 2.15 does not support
    ``*args`` here.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        u: Tensor,
        sign: Tensor,
        vector: Tensor,
        mean: Tensor,
        real: Tensor,
        imaginary: Tensor,
        versine: Tensor,
        sine: Tensor,
        k: int,
        levels: Levels | None,
    ) -> Tensor:
        del k, levels
        tilted = _Tilted(torch.sigmoid(u), sign, real, imaginary, versine, sine)
        return _covariance(tilted, mean, vector)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        u, sign, vector, mean, real, imaginary, versine, sine, ctx.k, ctx.levels = inputs
        ctx.save_for_backward(u, sign, vector, mean, real, imaginary, versine, sine)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        u, sign, vector, *fixed = ctx.saved_tensors
        turned = _times_covariance(u, sign, grad, *fixed, ctx.k)
        curved = _third_cumulants(u, sign, ctx.k, vector, grad)
        return curved, None, turned, *(None,) * 7


class _CovarianceBothModes(_Covariance):
    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _Covariance.setup_context(ctx, inputs, output)
        ctx.save_for_forward(*inputs[:-2])

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: Any, turn: Tensor, *rest: Any) -> Tensor:
        del rest  # of the mean and the weights, whose part is in the third cumulants
        ctx.levels.number += 1
        u, sign, vector, *fixed = ctx.saved_tensors
        turned = _times_covariance(u, sign, turn, *fixed, ctx.k)
        return turned + _third_cumulants(u, sign, ctx.k, vector, tangent)


def _third_cumulants(u: Tensor, sign: Tensor, k: int, a: Tensor, b: Tensor) -> Tensor:
    """Contract the derivative of the covariance, which is symmetric, with two vectors.

    Third derivatives are rare, so everything is recomputed with differentiable operations.
    """
    contracted: Tensor = torch.func.vjp(lambda u: _ordinary_covariance(u, sign, a, k), u)[1](b)[0]
    return contracted
