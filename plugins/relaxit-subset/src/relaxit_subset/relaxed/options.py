"""Options that all k-subset structures share."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from relaxit import Options

__all__ = ["SubsetOptions"]


class SubsetOptions(Options):
    """Number of items, and number of items that are chosen.

    Example:
        >>> SubsetOptions(n=20, k=10)
        SubsetOptions(n=20, k=10)
    """

    n: int = Field(ge=1, description="number of items", examples=[20])
    k: int = Field(ge=0, description="number of items that are chosen, at most n")

    @model_validator(mode="after")
    def _k_fits(self) -> Self:
        if self.k > self.n:
            raise ValueError(f"k = {self.k} exceeds n = {self.n}; k must be at most n")
        return self
