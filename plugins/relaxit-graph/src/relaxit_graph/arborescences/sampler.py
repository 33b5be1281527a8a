r"""Exact samples of directed trees, drawn while the elimination of nodes is undone.

Eliminating node k from log-weights gives each edge j -> i the weight w_ji + w_jk p_i, where
p_i = w_ki / t_k are the probabilities of the edges of k. A tree on the remaining nodes, drawn with
these weights, becomes one that includes k:

1. Each edge j -> i is replaced by j -> k with probability w_jk p_i / (w_ji + w_jk p_i),
   independently. Let C be the nodes j for which it is.
2. k takes an edge to a node i with probability proportional to w_ki, among the nodes that do not
   come to k: those from which the root is reached without an edge of C.

This is exact. Given C and the other edges, trees on the remaining nodes have weights that are
products of p over C. These sum over all ways of joining the parts that the nodes of C lead to the
root, with factors that depend on the end of an edge only, to the sum of p over the part of the root
(Cayley's formula, by part). The remaining factor t_k makes it the sum of w_ki in step 2.

Every draw takes the same number of steps and of random numbers, O(n^3) in all. So samplers of
random walks (Wilson, STOC 1996) are faster for one graph, but not for a batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from relaxit import noise
from relaxit.aliases import Generator
from relaxit_graph.arborescences.partition import partition, to_root
from relaxit_graph.arborescences.vertices import arcs_of

__all__ = ["sample_tree"]


def sample_tree(
    params: Tensor, single_root: bool, shape: torch.Size, generator: Generator = None
) -> Tensor:
    """Draw directed trees with probability proportional to the exponential of their scores.

    Args:
        params: scores ``[*batch, n, n]`` as for :func:`~relaxit_graph.arborescences.partition`, in
            float64.
        single_root: whether a tree has one root, or any positive number.
        shape: shape of the independent draws.
        generator: source of randomness.

    Returns:
        Trees ``[*shape, *batch, n, n]``, without gradient.

    Example:
        >>> tree = sample_tree(torch.zeros(5, 5).double(), single_root=True, shape=torch.Size())
        >>> tree.sum(-2), tree.trace()
        (tensor([1., 1., 1., 1., 1.], dtype=torch.float64), tensor(1., dtype=torch.float64))
    """
    x = params.detach()
    if single_root:
        x = _with_root(x, shape, generator)
        shape = torch.Size()
    heads = _undo(_eliminated(to_root(x)), shape, generator)[..., 1:] - 1
    n = x.shape[-1]
    return arcs_of(torch.where(heads < 0, n, heads), params.dtype)


def _with_root(params: Tensor, shape: torch.Size, generator: Generator) -> Tensor:
    """Draw the only root; return params ``[*shape, *batch, n, n]`` that exclude all others."""
    chance = partition(params, single_root=True)[1].diagonal(dim1=-2, dim2=-1).log()
    root = _argmax(chance.expand(shape + chance.shape), generator).unsqueeze(-1)
    node = torch.arange(params.shape[-1], device=params.device)
    of_root = (node == root).unsqueeze(-2)  # its column
    own = node == node.unsqueeze(-1)
    return params.masked_fill(own ^ of_root, -torch.inf).masked_fill(own & of_root, 0.0)


def _eliminated(x: Tensor) -> list[Tensor]:
    """Return the log-weights of edges before each elimination: matrices of growing size."""
    levels = []
    for k in reversed(range(1, x.shape[-1])):
        levels.append(x)
        into, out = x[..., :k, k].unsqueeze(-1), x[..., k, :k].unsqueeze(-2)
        share = out - out.logsumexp(-1, keepdim=True)
        x = torch.logaddexp(x[..., :k, :k], into + share)
    return levels[::-1]


def _undo(levels: list[Tensor], shape: torch.Size, generator: Generator) -> Tensor:
    """Draw trees; return the head of each node, ``[*shape, *batch, n + 1]``; 0 is the root."""
    batch = shape + levels[0].shape[:-2]
    x = levels[0]
    heads = torch.zeros((*batch, 1), dtype=torch.long, device=x.device)
    for k, x in enumerate(levels, 1):
        x = x.expand(*batch, k + 1, k + 1)
        out = x[..., k, :k]
        share = out - out.logsumexp(-1, keepdim=True)
        direct = x[..., :k, :k].gather(-1, heads.unsqueeze(-1)).squeeze(-1)
        through = x[..., :k, k] + share.gather(-1, heads)
        u = noise.uniform(direct.shape, dtype=x.dtype, device=x.device, generator=generator)
        moved = u < torch.sigmoid(through - direct)
        own = torch.full_like(heads[..., :1], k)
        heads = torch.cat([torch.where(moved, k, heads), own], -1)
        heads = torch.where(torch.arange(k + 1, device=x.device) == 0, 0, heads)
        free = _ends(heads)[..., :k] == 0
        head = _argmax(torch.where(free, out, -torch.inf), generator)
        heads = torch.cat([heads[..., :k], head.unsqueeze(-1)], -1)
    return heads


def _ends(heads: Tensor) -> Tensor:
    """Follow heads to the nodes that are their own heads."""
    for _ in range((heads.shape[-1] - 1).bit_length()):
        heads = heads.gather(-1, heads)
    return heads


def _argmax(logits: Tensor, generator: Generator) -> Tensor:
    """Draw an index of the last dimension in proportion to the exponential of logits."""
    g = noise.gumbel(logits.shape, dtype=logits.dtype, device=logits.device, generator=generator)
    return (logits + g).argmax(-1)
