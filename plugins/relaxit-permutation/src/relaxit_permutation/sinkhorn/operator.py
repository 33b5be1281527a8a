r"""Sinkhorn's operator: the doubly stochastic matrix nearest to scores, differentiable.

    P = argmax over doubly stochastic P of   <P, scores> / temperature + H(P)
      = exp(scores / temperature + u_i + v_j)

with the entropy H(P) = -sum P log P, where u and v make rows and columns sum to 1. As the
temperature decreases, P tends to the permutation with the greatest score.

**The gradient** is that of the limit, not of the iterations, in both modes; see
:mod:`relaxit_permutation.sinkhorn.implicit`.

References: Sinkhorn, Knopp, Pacific J. Math. 21 (1967); Mena, Belanger, Linderman, Snoek,
"Learning Latent Permutations with Gumbel-Sinkhorn Networks", arXiv:1802.08665; Cuturi, "Sinkhorn
Distances", arXiv:1306.0895 (given row and column sums).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from relaxit import DomainError, ShapeError
from relaxit.arguments import floating
from relaxit.dtypes import compute_dtype
from relaxit.masks import apply_mask
from relaxit.temperature import check_temperature_value, divide_by_temperature
from relaxit_permutation.matrices.reading import known
from relaxit_permutation.sinkhorn.implicit import ITERATIONS, STEPS, TOLERANCE, scaled
from relaxit_permutation.sinkhorn.quotient import quotient
from relaxit_permutation.sinkhorn.scaling import SinkhornWarning
from relaxit_permutation.sinkhorn.sums import (
    Sums,
    checked_sums,
    counted_sums,
    extended,
    has_empty,
)

__all__ = ["ITERATIONS", "STEPS", "TOLERANCE", "SinkhornWarning", "residual", "sinkhorn"]


def sinkhorn(
    scores: Tensor,
    temperature: float | Tensor = 1.0,
    *,
    rows: Tensor | None = None,
    columns: Tensor | None = None,
    mask: Tensor | None = None,
    dim: tuple[int, int] = (-2, -1),
    iterations: int = ITERATIONS,
    newton: int = STEPS,
    tolerance: float = TOLERANCE,
) -> Tensor:
    """Return the soft permutation matrix of scores or, for a wide matrix, the soft matching.

    With ``rows`` and ``columns`` it is the entropic transport plan between these sums, where scores
    are minus the costs.

    Args:
        scores: scores ``[..., m, n]`` with m <= n, unless sums are given; ``-inf`` excludes an
            entry.
        temperature: positive float, or tensor that broadcasts against scores with ``dim`` last.
        rows, columns: sums that broadcast to ``[..., m]`` and ``[..., n]``, not negative and of the
            same total, for each matrix. The result is differentiable in them.
        mask: bool tensor that broadcasts to scores, True where an entry is allowed. A row or column
            without an allowed entry takes no part: its sum is 0, and the rest of the matrix is that
            of the smaller one.
        dim: dimensions of the rows and of the columns.
        iterations: largest number of Sinkhorn sweeps before Newton's method takes over.
        newton: largest number of Newton steps; with 0 only sweeps are made.
        tolerance: error of a sum above which a :class:`SinkhornWarning` is issued, on the CPU.

    Returns:
        A matrix in the shape and dtype of scores. Rows sum to 1; columns sum to 1 if m = n, and
        otherwise to at most 1; or both have the given sums. The result is NaN where scores are NaN,
        or where excluded entries without a mask leave a row empty.

    Raises:
        TypeError: if scores are not of a floating-point dtype, the mask is not bool, or a sum is
            not a tensor.
        IndexError: if there is no such dimension.
        ShapeError: if scores are not matrices, have more rows than columns and no sums, or a mask
            or sum does not broadcast.
        ConfigurationError: if only one of ``rows`` and ``columns`` is given.
        DomainError: if the temperature is a number that is not finite and positive (tensors are not
            checked), iterations is less than 1, or newton is less than 0; on the CPU outside
            compiled code also if sums are negative or have different totals, or a mask leaves more
            rows than columns.

    Example:
        >>> soft = sinkhorn(torch.tensor([[2.0, 0.0], [0.0, 0.0]]), 0.5)
        >>> soft
        tensor([[0.8808, 0.1192],
                [0.1192, 0.8808]])
        >>> sums = torch.tensor([0.5, 0.5]), torch.tensor([0.2, 0.3, 0.5])
        >>> sinkhorn(torch.zeros(2, 3), rows=sums[0], columns=sums[1])
        tensor([[0.1000, 0.1500, 0.2500],
                [0.1000, 0.1500, 0.2500]])
    """
    if has_torch_function_unary(scores):  # a subclass of Tensor, or a symbolic trace
        return handle_torch_function(
            sinkhorn, (scores,), scores, temperature, rows=rows, columns=columns, mask=mask,
            dim=dim, iterations=iterations, newton=newton, tolerance=tolerance,
        )  # fmt: skip
    floating("sinkhorn", "scores", scores)
    _check_settings(temperature, iterations, newton)
    plain = rows is None and columns is None
    moved = dim != (-2, -1) and scores.dim() >= 2
    x = apply_mask("sinkhorn", scores, mask)
    x = x.movedim(dim, (-2, -1)) if moved else x
    _check_shape(x, tall=not plain or mask is not None)
    wide = x.to(compute_dtype(x.dtype))
    settings = iterations, newton, tolerance
    if plain and (mask is None or (x.shape[-2] <= x.shape[-1] and not has_empty(wide))):
        soft = _matching(wide, temperature, settings)
    elif plain:
        sums = counted_sums(wide)
        soft = _with_sums(divide_by_temperature(wide, temperature), sums, settings)
    else:
        sums, total = checked_sums(wide, rows, columns)
        soft = _with_sums(divide_by_temperature(wide, temperature), sums, settings) * total
    soft = soft.movedim((-2, -1), dim) if moved else soft
    return soft.to(scores.dtype)


def _check_settings(temperature: float | Tensor, iterations: int, newton: int) -> None:
    if not isinstance(temperature, Tensor):
        check_temperature_value(temperature, "sinkhorn")
    if iterations < 1 or newton < 0:
        raise DomainError(
            f"sinkhorn: iterations must be at least 1 and newton at least 0, got {iterations} and "
            f"{newton}"
        )


def _check_shape(x: Tensor, tall: bool) -> None:
    """Reject what is not a matrix, or has more rows than columns unless it may be tall."""
    if x.dim() < 2 or 0 in x.shape[-2:] or (x.shape[-2] > x.shape[-1] and not tall):
        most = "" if tall else " with m <= n, unless sums are given"
        raise ShapeError(f"sinkhorn: scores must have shape [*, m, n]{most}, got {list(x.shape)}")


def _matching(
    scores: Tensor, temperature: float | Tensor, settings: tuple[int, int, float]
) -> Tensor:
    """Return the matrix whose rows sum to 1, and columns to 1 or to at most 1."""
    x = quotient(scores, temperature)
    m, n = scores.shape[-2:]
    rows = x.new_ones(m)
    if m < n:
        rows = torch.cat([rows, x.new_full((1,), n - m)])
    soft, _, _ = scaled(x, rows, x.new_ones(n), *settings)
    return soft[..., :m, :]


def _with_sums(x: Tensor, sums: Sums, settings: tuple[int, int, float]) -> Tensor:
    """Return the matrix with these sums, of which some may be 0."""
    rows, columns, _ = sums
    if known(x, lambda: (rows > 0).all() & (columns > 0).all()):
        return scaled(x, rows, columns, *settings)[0]
    soft, _, _ = scaled(*extended(x, sums), *settings)
    return soft[..., :-1, :-1]


def residual(soft: Tensor) -> Tensor:  # [..., m, n] -> [...]
    """Return the largest error of the row and column sums of each soft matrix.

    Example:
        >>> residual(torch.tensor([[0.5, 0.5], [0.5, 0.4]]))
        tensor(0.1000)
    """
    rows, columns = soft.sum(-1) - 1, soft.sum(-2) - 1
    if soft.shape[-2] == soft.shape[-1]:
        columns = columns.abs()
    return torch.maximum(rows.abs().amax(-1), columns.amax(-1))
