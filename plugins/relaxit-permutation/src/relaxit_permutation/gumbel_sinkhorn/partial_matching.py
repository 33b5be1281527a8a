"""Matchings of some rows to some columns by Gumbel-Sinkhorn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions.constraints import Constraint
from torch.nn.functional import pad

from relaxit import noise
from relaxit.aliases import Generator
from relaxit_permutation.gumbel_sinkhorn import unmatched
from relaxit_permutation.gumbel_sinkhorn.base import GumbelSinkhorn, divergence_of_noise
from relaxit_permutation.gumbel_sinkhorn.options import PartialMatchingOptions
from relaxit_permutation.matrices import polytope

__all__ = ["PartialMatching"]


class PartialMatching(GumbelSinkhorn):
    """Each row is matched to a column or stays unmatched, at a score of 0; so do the columns.

    Params and values are ``[*batch, rows, columns]``, with any number of rows and columns. A pair
    is matched where that raises the sum of scores, so a param says how much better the pair is than
    both alone: subtract a threshold, which may be learned, from scores of another kind. Rows and
    columns of a soft sample sum to at most 1.

    A param of ``-inf`` excludes a pair, and a row or column without a pair stays unmatched. So
    graphs of different sizes are padded to one batch by masks: the result is that of each by
    itself.

    Params of 0 are not the uniform distribution, unless there is one row, and the KL divergence is
    a bound that is not 0 there; see :mod:`relaxit_permutation.gumbel_sinkhorn.unmatched`.

    Example:
        >>> import torch, relaxit
        >>> some = relaxit.get("partial-matching", rows=3, columns=2)
        >>> some.argmax(torch.tensor([[4.0, 3.0], [5.0, -1.0], [-2.0, -1.0]]))
        tensor([[0., 1.],
                [1., 0.],
                [0., 0.]])
        >>> round(torch.tensor(some.log_cardinality).exp().item())  # 1 + 6 + 6
        13
    """

    api = 1
    name = "partial-matching"
    summary = "some of m rows to some of n columns, one to one: Gumbel-Sinkhorn"
    references = (
        "arXiv:1802.08665 (Gumbel-Sinkhorn)",
        "arXiv:1911.11763 (SuperGlue: a score for staying unmatched)",
    )
    expected_failures: ClassVar[Mapping[str, str]] = {
        "hard_is_the_nearest_vertex": "nearest in a KL divergence that also counts free places",
        "zero_params_are_uniform": "matchings of different sizes are not equally probable",
    }
    Options = PartialMatchingOptions
    options: PartialMatchingOptions

    @classmethod
    def sizes(cls, shape: torch.Size) -> dict[str, int]:
        return {"rows": shape[-2], "columns": shape[-1]} if len(shape) >= 2 else {}

    @property
    def event_shape(self) -> torch.Size:
        return torch.Size((self.options.rows, self.options.columns))

    @property
    def support(self) -> Constraint:
        return polytope.partial

    @property
    def vertices(self) -> Constraint:
        return polytope.partial_matching

    @property
    def log_cardinality(self) -> float:
        return unmatched.log_count(*self.event_shape)

    @classmethod
    def examples(cls) -> list[PartialMatching]:
        return [cls(rows=3, columns=2)]

    def enumerate_vertices(self) -> Tensor:
        return unmatched.partial_matchings(*self.event_shape)

    def valid_params(self, params: Tensor) -> Tensor:
        """Whether there is no NaN and no ``+inf``."""
        return (params < torch.inf).flatten(-2).all(-1)

    @property
    def illegal_params(self) -> str:
        return "NaN or +inf"

    def noise(  # type: ignore[override]  # a method, as the contract allows
        self, shape: torch.Size, *, dtype: torch.dtype, device: torch.device, generator: Generator
    ) -> Tensor:
        """Draw Gumbel noise of each pair, less that of the row's score for staying unmatched."""
        pairs = noise.gumbel(shape, dtype=dtype, device=device, generator=generator)
        alone = (*shape[:-1], 1)
        return pairs - noise.gumbel(alone, dtype=dtype, device=device, generator=generator)

    def relax(self, scores: Tensor, temperature: float | Tensor) -> Tensor:
        soft = super().relax(unmatched.with_own_columns(scores), temperature)
        return soft[..., : scores.shape[-1]]

    def argmax(self, scores: Tensor) -> Tensor:
        """Return the best matching, computed on the CPU; scores on a GPU are synchronised."""
        return super().argmax(unmatched.with_own_columns(scores))[..., : scores.shape[-1]]

    def hard(self, soft: Tensor) -> Tensor:
        """Return the best matching of the scores that give this soft sample.

        It is the hard sample of the same draw, unless rounding to a short dtype changes it.
        """
        return self.argmax(unmatched.scores_of(soft)).to(soft.dtype)

    def kl_to_uniform(self, params: Tensor) -> Tensor:
        """Return an **upper bound** ``[*batch]`` on the KL divergence to uniform, in nats.

        It is the divergence of the noise, plus a constant, because params of 0 are not uniform; see
        :mod:`relaxit_permutation.gumbel_sinkhorn.unmatched`. It is capped at the logarithm of the
        number of matchings, where there is no gradient. Where entries are masked, the constant is
        this logarithm and only the divergence of the noise is capped, so that there is a gradient
        and the bound is at most twice the logarithm.
        """
        allowed = pad(params != -torch.inf, (0, 1), value=True)
        divergence = divergence_of_noise(pad(params, (0, 1)), allowed, shared=False)
        masked = ~allowed.flatten(-2).all(-1)
        most = self.log_cardinality
        whole = (divergence + unmatched.excess(*self.event_shape)).clamp_max(most)
        return torch.where(masked, divergence.clamp_max(most) + most, whole)
