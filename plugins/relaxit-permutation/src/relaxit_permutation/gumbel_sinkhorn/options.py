"""Options of the Gumbel-Sinkhorn structures."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from relaxit import Options
from relaxit_permutation.sinkhorn.implicit import ITERATIONS, STEPS, TOLERANCE

__all__ = ["MatchingOptions", "PartialMatchingOptions", "PermutationOptions", "SinkhornOptions"]


class SinkhornOptions(Options):
    """Tolerance and iteration limits of Sinkhorn's operator."""

    tolerance: float = Field(
        default=TOLERANCE,
        gt=0,
        description="error of row and column sums above which to warn; does not change the effort",
    )
    iterations: int = Field(
        default=ITERATIONS, ge=1, description="largest number of Sinkhorn sweeps"
    )
    newton: int = Field(
        default=STEPS,
        ge=0,
        description="largest number of Newton steps, where sweeps are too slow",
    )


class _Items(Options):
    n: int = Field(ge=1, description="number of items, and of ranks")


class PermutationOptions(SinkhornOptions, _Items):  # fields of the last base come first: n
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
                f"rows = {self.rows} exceeds columns = {self.columns}; rows must be at most columns"
                ", unless some may stay unmatched, as in 'partial-matching'"
            )
        return self


class _PartialSides(Options):
    rows: int = Field(ge=1, description="number of rows, each matched at most once")
    columns: int = Field(ge=1, description="number of columns, each matched at most once")


class PartialMatchingOptions(SinkhornOptions, _PartialSides):
    """Options of :class:`~relaxit_permutation.gumbel_sinkhorn.partial_matching.PartialMatching`."""
