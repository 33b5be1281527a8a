"""Projective trees over the words of a sentence: no two arcs cross."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from relaxit import SumProduct
from relaxit.sum_product import Sum
from relaxit_graph.edges.absent_nodes import WithAbsentNodes
from relaxit_graph.edges.on_nodes import GraphOptions

__all__ = ["ProjectiveTree", "ProjectiveTreeOptions"]


class ProjectiveTreeOptions(GraphOptions):
    """Options of :class:`ProjectiveTree`."""

    nodes: int = Field(ge=1, description="number of words")


class ProjectiveTree(WithAbsentNodes, SumProduct):
    """A directed tree over a sequence of words whose arcs do not cross, with a single root.

    Params are scores of arcs ``[*, n, n]``: entry (i, j) scores the arc from head i to word j, and
    entry (j, j) word j as the root. Values are ``[*, n, n]``, with a single one per column. These
    are the conventions of ``arborescence``, whose trees need not be projective.

    Spans of words are combined by length, each in one operation: O(n^3) operations in O(n^2) steps.

    Reference: Eisner, "Three New Probabilistic Models for Dependency Parsing", COLING 1996.

    Example:
        >>> import torch, relaxit
        >>> trees = relaxit.get("projective-tree", nodes=4)
        >>> len(trees.enumerate_vertices()), trees(torch.zeros(8, 4, 4)).rsample().shape
        (30, torch.Size([8, 4, 4]))
    """

    api = 1
    name = "projective-tree"
    aliases = ("eisner",)
    summary = "a directed tree over a sequence, without crossing arcs (Eisner)"
    references = ("arXiv:2006.08063, section 3",)
    Options = ProjectiveTreeOptions

    @classmethod
    def examples(cls) -> list[ProjectiveTree]:
        return [cls(nodes=3), cls(nodes=4)]

    def log_partition(self, scores: Tensor, plus: Sum) -> Tensor:
        n = self.options.nodes
        roots = scores.diagonal(dim1=-2, dim2=-1)
        # Spans by length, one entry for each first word: headed by their first (right) or last
        # word (left), and closed, or with an open arc between the two.
        right = [torch.zeros_like(roots)]
        left, open_right, open_left = [right[0]], [right[0]], [right[0]]  # those of one word
        for length in range(1, n):
            halves = plus(_pairs(right, left, length, range(length), gap=1), 0)
            open_right.append(halves + scores.diagonal(length, -2, -1))
            open_left.append(halves + scores.diagonal(-length, -2, -1))
            right.append(plus(_pairs(open_right, right, length, range(1, length + 1)), 0))
            left.append(plus(_pairs(left, open_left, length, range(length)), 0))
        before = torch.stack([left[k][..., 0] for k in range(n)], -1)
        after = torch.stack([right[n - 1 - k][..., k] for k in range(n)], -1)
        return plus(roots + before + after, -1)


def _pairs(
    first: list[Tensor], second: list[Tensor], length: int, splits: range, gap: int = 0
) -> Tensor:
    """Return the scores of two neighbouring spans, for each split, ``[splits, ..., n - length]``.

    Args:
        first: spans by length, one entry for each first word.
        second: the same for the spans behind them, whose first word is the last one of the former
            or, with a gap of 1, the next one.
        length: length of both together.
        splits: lengths of the spans in front.
        gap: 0 or 1.
    """
    terms = []
    for k in splits:
        behind = second[length - k - gap][..., k + gap :]
        count = first[0].shape[-1] - length
        terms.append(first[k][..., :count] + behind[..., :count])
    return torch.stack(terms)
