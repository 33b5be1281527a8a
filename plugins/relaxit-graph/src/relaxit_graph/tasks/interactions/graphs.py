"""Random undirected graphs as adjacency matrices."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from relaxit.aliases import Generator
from relaxit_graph.edges.vectors import adjacency

__all__ = ["Kind", "random_graphs"]

Kind = Literal["tree", "k-edges", "independent"]
"""How a graph is drawn."""


def random_graphs(
    kind: Kind, count: int, nodes: int, edges: int = 0, generator: Generator = None
) -> Tensor:
    """Draw graphs ``[count, nodes, nodes]`` of zeros and ones, uint8 and symmetric.

    Args:
        kind: ``tree`` for a spanning tree, uniform over all of them; ``k-edges`` for some of the
            pairs, uniform over the choices; ``independent`` for each pair with probability 1/2.
        count: number of graphs.
        nodes: number of nodes, at least 2.
        edges: number of edges of ``k-edges``.
        generator: source of randomness.

    Example:
        >>> trees = random_graphs("tree", 3, 5, generator=torch.Generator().manual_seed(0))
        >>> trees.sum((1, 2))  # each of the four edges is counted twice
        tensor([8, 8, 8])
    """
    if kind == "tree":
        return _trees(count, nodes, generator)
    scores = torch.rand(count, nodes * (nodes - 1) // 2, generator=generator)
    if kind == "k-edges":
        chosen = torch.zeros_like(scores).scatter(-1, scores.topk(edges).indices, 1.0)
    else:
        chosen = (scores < 0.5).float()
    return adjacency(chosen).byte()


def _trees(count: int, nodes: int, generator: Generator) -> Tensor:
    """Decode uniformly random Pruefer sequences, which are in bijection with the trees."""
    graphs = torch.zeros(count, nodes, nodes, dtype=torch.uint8)
    sequence = torch.randint(nodes, (count, nodes - 2), generator=generator)
    left = torch.ones(count, nodes, dtype=torch.long)  # edges that each node still needs
    left.scatter_add_(1, sequence, torch.ones_like(sequence))
    every = torch.arange(count)
    for parent in sequence.unbind(1):
        leaf = (left == 1).byte().argmax(1)  # the first
        graphs[every, leaf, parent] = 1
        left[every, leaf] -= 1
        left[every, parent] -= 1
    first, last = (left == 1).nonzero()[:, 1].unflatten(0, (count, 2)).unbind(1)
    graphs[every, first, last] = 1
    return graphs | graphs.mT
