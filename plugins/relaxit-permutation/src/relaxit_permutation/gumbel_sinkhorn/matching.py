"""Matchings of m rows to n columns by Gumbel-Sinkhorn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch

from relaxit_permutation.gumbel_sinkhorn.base import GumbelSinkhorn
from relaxit_permutation.gumbel_sinkhorn.options import MatchingOptions

__all__ = ["Matching"]


class Matching(GumbelSinkhorn):
    """Each of m rows is assigned its own column; n - m columns stay free.

    Params and values are ``[*batch, rows, columns]``. Rows of a soft sample sum to 1, and columns
    to at most 1. It is ``permutation`` with n - m extra rows whose scores are all 0 without
    noise; because these rows are equal, they are represented by one row of mass n - m. With as many
    rows as columns it is ``permutation``. For rows that may stay unmatched, see
    ``partial-matching``.

    Example:
        >>> import torch, relaxit
        >>> jobs = relaxit.get("matching", rows=2, columns=3)
        >>> jobs.argmax(torch.tensor([[4.0, 3.0, 0.0], [4.0, 0.0, 2.0]]))
        tensor([[0., 1., 0.],
                [1., 0., 0.]])
        >>> round(jobs.log_cardinality, 4)  # log 6
        1.7918
    """

    api = 1
    name = "matching"
    summary = "m rows to n columns, one to one: Gumbel-Sinkhorn, Hungarian algorithm"
    references = ("arXiv:1802.08665 (Gumbel-Sinkhorn)",)
    expected_failures: ClassVar[Mapping[str, str]] = {
        "hard_is_the_nearest_vertex": "nearest in a KL divergence that also counts free columns"
    }
    Options = MatchingOptions
    options: MatchingOptions

    @classmethod
    def sizes(cls, shape: torch.Size) -> dict[str, int]:
        return {"rows": shape[-2], "columns": shape[-1]} if len(shape) >= 2 else {}

    @property
    def event_shape(self) -> torch.Size:
        return torch.Size((self.options.rows, self.options.columns))

    @classmethod
    def examples(cls) -> list[Matching]:
        return [cls(rows=2, columns=3), cls(rows=2, columns=4)]
