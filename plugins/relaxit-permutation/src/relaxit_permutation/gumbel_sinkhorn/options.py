"""Options of the structures."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from relaxit import Options
from relaxit_permutation.sinkhorn.operator import ITERATIONS, STEPS, TOLERANCE

__all__ = ["MatchingOptions", "PermutationOptions", "SinkhornOptions"]


class SinkhornOptions(Options):
    """How far Sinkhorn's operator goes."""

    tolerance: float = Field(
        default=TOLERANCE,
        gt=0,
        description="error of row and column sums above which to warn; the effort is the same",
    )
    iterations: int = Field(default=ITERATIONS, ge=1, description="Sinkhorn sweeps at most")
    newton: int = Field(
        default=STEPS, ge=0, description="Newton steps at most, where sweeps are too slow"
    )


class _Items(Options):
    n: int = Field(ge=1, description="number of items, and of ranks")


class PermutationOptions(SinkhornOptions, _Items):  # listed from the last base on: n comes first
    """Options of :class:`~relaxit_permutation.gumbel_sinkhorn.permutation.Permutation`."""


class _Sides(Options):
    rows: int = Field(ge=1, description="number of rows, each matched to a column")
    columns: int = Field(ge=1, description="number of columns, each matched at most once")


class MatchingOptions(SinkhornOptions, _Sides):
    """Options of :class:`~relaxit_permutation.gumbel_sinkhorn.matching.Matching`."""

    @model_validator(mode="after")
    def _rows_fit(self) -> Self:
        if self.rows > self.columns:
            raise ValueError(
                f"rows = {self.rows} cannot be matched to columns = {self.columns} different ones"
            )
        return self
