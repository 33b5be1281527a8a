"""A segmentation of a sequence into labelled segments: semi-Markov model."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field, model_validator
from torch import Tensor

from relaxit import Options, SumProduct
from relaxit.parts import size_of
from relaxit.sum_product import Sum
from relaxit_graph.programs.padding import as_lengths, only_first

__all__ = ["Segmentation", "SegmentationOptions"]


class SegmentationOptions(Options):
    """Options of :class:`Segmentation`."""

    length: int = Field(ge=1, description="number of positions")
    labels: int = Field(ge=1, description="number of labels of a segment")
    longest: int = Field(ge=1, description="largest number of positions in a segment")

    @model_validator(mode="after")
    def _not_longer_than_the_sequence(self) -> SegmentationOptions:
        if self.longest > self.length:
            raise ValueError(f"longest={self.longest} exceeds length={self.length}")
        return self


class Segmentation(SumProduct):
    """Consecutive labelled segments that cover T positions, each at most K long.

    Values are ``[*, T, K, L]``: entry (t, k, l) is one if a segment of k + 1 positions with label l
    begins at position t. Params have two parts: ``segment`` ``[*, T, K, L]``, the scores of
    segments, and ``pair`` ``[*, T - 1, L, L]``: entry (t, i, j) scores a segment with label i that
    ends at position t and is followed by one with label j. Entries of segments that would end
    behind the last position are not read.

    Reference: Sarawagi, Cohen, "Semi-Markov Conditional Random Fields", NeurIPS 2004, section 3.

    Example:
        >>> import torch, relaxit
        >>> segmentation = relaxit.get("segmentation", length=3, labels=1, longest=3)
        >>> q = segmentation(torch.zeros(8, *segmentation.param_shape), temperature=0.5)
        >>> q.rsample().shape, len(segmentation.enumerate_vertices())  # 3, 2+1, 1+2, 1+1+1
        (torch.Size([8, 3, 3, 1]), 4)
    """

    api = 1
    name = "segmentation"
    aliases = ("semi-markov", "semi-crf")
    summary = "a sequence cut into labelled segments (semi-Markov CRF)"
    references = ("arXiv:2006.08063, section 3",)
    Options = SegmentationOptions

    @property
    def event_shape(self) -> torch.Size:
        return torch.Size((self.options.length, self.options.longest, self.options.labels))

    @property
    def parts(self) -> Mapping[str, torch.Size]:
        length, _, labels = self.event_shape
        return {"segment": self.event_shape, "pair": torch.Size((length - 1, labels, labels))}

    @property
    def param_shape(self) -> torch.Size:
        return size_of(self.parts)

    @classmethod
    def examples(cls) -> list[Segmentation]:
        return [cls(length=4, labels=2, longest=2), cls(length=5, labels=1, longest=3)]

    def log_partition(self, scores: Tensor, plus: Sum) -> Tensor:
        segment, pair = self.split(scores).values()
        length, longest, _ = self.event_shape
        begins = segment.unbind(-3)
        # Up to each position, by the label of the last segment; and with the next label decided.
        ended: list[Tensor] = []
        ready = [torch.zeros_like(begins[0][..., 0, :])]
        for end in range(length):
            lasting = range(min(longest, end + 1))
            terms = [ready[end - k] + begins[end - k][..., k, :] for k in lasting]
            ended.append(plus(torch.stack(terms), 0))
            if end < length - 1:
                ready.append(plus(ended[-1].unsqueeze(-1) + pair[..., end, :, :], -2))
        return plus(ended[-1], -1)

    def statistics(self, value: Tensor) -> Tensor:
        last = self._ends(value)[..., :-1, :, None]
        return self.join(segment=value, pair=last * value.sum(-2)[..., 1:, None, :])

    def from_statistics(self, statistics: Tensor) -> Tensor:
        return self.split(statistics)["segment"]

    def _ends(self, value: Tensor) -> Tensor:
        """Return the label of the segment that ends at each position, ``[..., T, L]``."""
        length, longest, _ = self.event_shape
        shifted = [
            torch.nn.functional.pad(value[..., : length - k, k, :], (0, 0, k, 0))
            for k in range(longest)
        ]
        return torch.stack(shifted).sum(0)

    def pad(self, params: Tensor, lengths: Tensor) -> Tensor:
        """Return params of sequences of different lengths, ``[*batch, *param_shape]``.

        Each position from ``lengths`` on is a segment of its own with label 0, at score 0, and no
        segment crosses into them.

        Args:
            params: params ``[*batch, *param_shape]``.
            lengths: number of positions of each row, integers ``[*batch]`` from 1 to T.

        Raises:
            DomainError: if a length is out of range.
            ShapeError: if lengths do not fit the batch.

        Example:
            >>> import torch, relaxit
            >>> cuts = relaxit.get("segmentation", length=3, labels=1, longest=3)
            >>> zeros = torch.zeros(2, *cuts.param_shape)
            >>> cuts.discrete(cuts.pad(zeros, torch.tensor([3, 2]))).entropy().exp()
            tensor([4., 2.])
        """
        segment, pair = self.split(params).values()
        length, longest, labels = self.event_shape
        given = as_lengths(self.name, lengths, segment.shape[:-3], length).to(params.device)
        begin = torch.arange(length, device=params.device)
        end = begin[:, None] + torch.arange(longest, device=params.device)
        absent = begin >= given[..., None]
        crosses = ~absent[..., None] & (end >= given[..., None, None])
        single = only_first(segment, longest, labels)
        masked = segment.masked_fill(crosses[..., None], -torch.inf)
        return self.join(
            segment=torch.where(absent[..., None, None], single, masked),
            pair=pair.masked_fill(absent[..., 1:, None, None], 0.0),
        )
