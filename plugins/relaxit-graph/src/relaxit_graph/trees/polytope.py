"""The spanning trees of a complete graph, as a constraint and as a list."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import constraints

from relaxit_graph.trees.paths import connected

__all__ = ["spanning_tree", "spanning_trees"]


class _SpanningTree(constraints.Constraint):
    """Symmetric matrices of zeros and ones, with n - 1 edges that join all nodes and no loops."""

    event_dim = 2
    is_discrete = True

    def check(self, value: Tensor) -> Tensor:
        n = value.shape[-1]
        exact = ((value == 0) | (value == 1)) & (value == value.mT)
        few = (value != 0).sum((-2, -1)) == 2 * (n - 1)  # no more than it takes to join all nodes
        return exact.flatten(-2).all(-1) & few & connected(value != 0)


spanning_tree = _SpanningTree()


def spanning_trees(nodes: int) -> Tensor:  # [N, nodes, nodes]
    """Return all n^(n - 2) spanning trees of a complete graph, as zeros and ones in float64.

    Example:
        >>> spanning_trees(4).shape
        torch.Size([16, 4, 4])

    Reference: Pruefer, Arch. Math. Phys. 27 (1918).
    """
    codes = itertools.product(range(nodes), repeat=max(0, nodes - 2))
    trees = [_edges_of(code, nodes) for code in codes]
    value = torch.zeros(len(trees), nodes, nodes, dtype=torch.float64, device="cpu")
    for one, edges in zip(value, trees, strict=True):
        for i, j in edges:
            one[i, j] = one[j, i] = 1.0
    return value


def _edges_of(code: Sequence[int], nodes: int) -> list[tuple[int, int]]:
    """Decode a sequence of n - 2 nodes: each is joined to the least leaf that is left."""
    uses = [code.count(node) for node in range(nodes)]
    edges = []
    for node in code:
        leaf = uses.index(0)
        edges.append((leaf, node))
        uses[leaf] = -1
        uses[node] -= 1
    left = [node for node in range(nodes) if uses[node] == 0]
    return [*edges, (left[0], left[1])] if nodes > 1 else []
