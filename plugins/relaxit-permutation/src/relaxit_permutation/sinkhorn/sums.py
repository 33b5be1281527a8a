"""Given row and column sums (marginals), of which some may be 0, and matrices of other sizes.

A row or column of sum 0 has no potential: it would be minus infinity. So the matrix gets an extra
row and an extra column. An empty row has a mass of its own, which only the extra column can take;
an empty column takes its mass from the extra row; and the corner takes what they have left. These
parts are decoupled from the others, so that nothing else changes and no step of the computation has
to know about them.

In the same way the extra row takes what rows that sum to 1 leave of the columns, if there are more
columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

from relaxit.errors import ConfigurationError, DomainError, ShapeError
from relaxit_permutation.matrices.reading import known

__all__ = ["Sums", "checked_sums", "counted_sums", "extended", "has_empty"]

Sums = tuple[Tensor, Tensor, Tensor]
"""Sums of the rows ``[..., m]`` and columns ``[..., n]``, 0 where they are empty, and the mass
``[..., 1]`` that columns need not get from rows."""

_SAME = 1e-3
"""Relative difference of the totals of rows and columns that is taken for rounding."""


def has_empty(x: Tensor) -> bool:
    """Whether a row or column has no allowed entry, as far as that can be read; otherwise True."""
    return known(x, lambda: _used(x, -1).all() & _used(x, -2).all()) is not True


def _used(x: Tensor, dim: int) -> Tensor:
    """Return which rows (``dim=-1``) or columns (``dim=-2``) have an entry that is allowed."""
    return (x.detach() != -torch.inf).any(dim)


def counted_sums(x: Tensor) -> Sums:
    """Return sums of 1, but of 0 for rows and columns without an allowed entry.

    Args:
        x: scores ``[..., m, n]``, ``-inf`` where an entry is excluded.

    Raises:
        DomainError: if more rows than columns are left and values can be read.
    """
    rows, columns = _used(x, -1).to(x.dtype), _used(x, -2).to(x.dtype)
    rest = columns.sum(-1, keepdim=True) - rows.sum(-1, keepdim=True)
    if known(x, lambda: rest >= 0) is False:
        raise DomainError(
            "sinkhorn: the mask leaves more rows than columns; rows sum to 1 and columns to at "
            "most 1, so pass rows= and columns= sums instead"
        )
    return rows, columns, rest


def checked_sums(x: Tensor, rows: Tensor | None, columns: Tensor | None) -> tuple[Sums, Tensor]:
    """Return the given sums divided by their total, and the total ``[..., 1, 1]``.

    They are 0 for rows and columns without an allowed entry. The columns get exactly the total of
    the rows. With a total of 1, products of two sums do not overflow.

    Args:
        x: scores ``[..., m, n]``, ``-inf`` where an entry is excluded.
        rows, columns: sums that broadcast to ``[..., m]`` and ``[..., n]``.

    Raises:
        ConfigurationError: if only one of them is given.
        TypeError: if one is not a tensor.
        ShapeError: if one does not broadcast.
        DomainError: if one is negative or infinite, or the totals differ, and values can be read.
    """
    if rows is None or columns is None:
        raise ConfigurationError(
            "sinkhorn: pass both rows= and columns= sums, or neither; got only "
            + ("columns" if rows is None else "rows")
        )
    r = _expanded("rows", rows, x, -1).masked_fill(~_used(x, -1), 0.0)
    c = _expanded("columns", columns, x, -2).masked_fill(~_used(x, -2), 0.0)
    total, other = r.sum(-1, keepdim=True), c.sum(-1, keepdim=True)
    if known(x, lambda: (total - other).abs() <= _SAME * total) is False:
        raise DomainError(
            "sinkhorn: rows and columns must have the same total for each matrix, got "
            f"{_some(total)} and {_some(other)}"
        )
    c = c * (total / torch.where(other > 0, other, 1.0))
    unit = total.detach()
    unit = torch.where(unit > 0, unit, 1.0)
    return (r / unit, c / unit, torch.zeros_like(total)), unit.unsqueeze(-1)


def _expanded(name: str, sums: Tensor, x: Tensor, dim: int) -> Tensor:
    """Return sums in the shape of x without ``dim``."""
    if not isinstance(sums, Tensor):
        raise TypeError(f"sinkhorn: {name} must be a tensor, got {type(sums).__name__}")
    shape = x.select(dim, 0).shape
    try:
        full = sums.to(x.dtype).expand(shape)
    except RuntimeError:
        raise ShapeError(
            f"sinkhorn: {name} of shape {list(sums.shape)} do not broadcast to {list(shape)}"
        ) from None
    if known(x, lambda: (full >= 0) & full.isfinite()) is False:
        raise DomainError(f"sinkhorn: {name} must be finite and not negative")
    return full


def _some(totals: Tensor) -> str:
    return ", ".join(f"{total:g}" for total in totals.detach().flatten()[:3].tolist())


def extended(x: Tensor, sums: Sums) -> tuple[Tensor, Tensor, Tensor]:
    """Return matrix and positive sums with an extra row and an extra column, as described above.

    Args:
        x: scores ``[..., m, n]``.
        sums: sums of rows and columns, and the rest.

    Returns:
        Scores ``[..., m + 1, n + 1]`` and sums ``[..., m + 1]`` and ``[..., n + 1]``. Where the
        rest is negative, which is not possible, the scores are NaN.
    """
    rows, columns, rest = sums
    no_row, no_column = rows.detach() == 0, columns.detach() == 0
    own = rows.detach().sum(-1, keepdim=True) / rows.shape[-1]
    own = torch.where(own > 0, own, 1.0)
    inside = x.masked_fill(no_row.unsqueeze(-1) | no_column.unsqueeze(-2), -torch.inf)
    inside = inside.masked_fill((rest < 0).unsqueeze(-1), torch.nan)
    right = torch.where(no_row, 0.0, -torch.inf).to(x.dtype).unsqueeze(-1)
    below = torch.where(no_column | (rest > 0), 0.0, -torch.inf).to(x.dtype)
    last = torch.cat([below, torch.zeros_like(below[..., :1])], -1).unsqueeze(-2)
    return (
        torch.cat([torch.cat([inside, right], -1), last], -2),
        _with_extra(rows, no_row, rest + own * (no_column.sum(-1, keepdim=True) + 1), own),
        _with_extra(columns, no_column, own * (no_row.sum(-1, keepdim=True) + 1), own),
    )


def _with_extra(sums: Tensor, empty: Tensor, extra: Tensor, own: Tensor) -> Tensor:
    return torch.cat([torch.where(empty, own, sums), extra], -1)
