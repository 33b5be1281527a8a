r"""Exact samples of spanning trees: the elimination of nodes, run backwards.

Eliminating node k leaves a graph with weights w_ij + w_ik p_kj, where p_kj is the share of w_kj in
its row. A tree of the larger graph is drawn from one of the smaller graph as follows. Each edge
i -> j of the tree is made of an edge of the larger graph and of the detour i -> k -> j; draw which,
in proportion to w_ij and w_ik p_kj. Where it is the detour, i -> k replaces it. Then draw the edge
k -> j in proportion to p_kj among those nodes j that still have a path to the root.

This is exact. Fix the set C of nodes that take the detour and the edges F of all others, and let q
be the probability that j, drawn in proportion to p_kj, is connected to the root by F. The ends of
the detours are independent draws from p_k, and by Cayley's formula for rooted trees with weights
they form a tree with probability q, whatever the size of C. So do the trees of the larger graph: k
has one edge, and it has to lead to the root. Hence (C, F) has the same distribution in both.

A walk as in Wilson's algorithm may take e^scale steps between two nodes of a strong edge. This
takes n steps, each for all graphs and samples at once.

References: Wilson, "Generating Random Spanning Trees More Quickly than the Cover Time", STOC 1996
(the walk, whose traces on fewer nodes these are); Cayley, Quart. J. Pure Appl. Math. 23 (1889).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from relaxit import noise
from relaxit.aliases import Generator
from relaxit.dtypes import longest_dtype
from relaxit_graph.trees.arithmetic import FLOOR, Entries, Logarithms, Numbers
from relaxit_graph.trees.underflow import with_plain_numbers

__all__ = ["draw_parents"]


def draw_parents(x: Tensor, shape: torch.Size, generator: Generator = None) -> Tensor:
    """Draw trees directed to node 0 with probability proportional to the exponential of their sum.

    Args:
        x: log-weights ``[*batch, n, n]``, as for
            :func:`~relaxit_graph.trees.log_partition.log_partition`.
        shape: shape of the independent samples.
        generator: source of randomness.

    Returns:
        ``[*shape, *batch, n]`` of int64: the node to which the edge of each node leads, 0 for node
        0 itself.

    Example:
        >>> masked = torch.tensor([[0.0, 0.0, -torch.inf], [0.0, 0.0, 0.0], [-torch.inf, 0.0, 0.0]])
        >>> draw_parents(masked, torch.Size([2]))
        tensor([[0, 0, 1],
                [0, 0, 1]])
    """
    n = x.shape[-1]
    lead = shape + x.shape[:-2]
    wide = x.detach().to(longest_dtype(x.device))
    uniform = noise.uniform(
        (*lead, n, n), dtype=wide.dtype, device=wide.device, generator=generator
    )
    own, into, shares = (y.reshape(wide.shape) for y in with_plain_numbers(_stages, wide))
    own, into, shares = (y.expand((*lead, n, n)) for y in (own, into, shares))
    parent = torch.zeros(*lead, 1, dtype=torch.int64, device=x.device)
    for k in range(1, n):
        detours = into[..., :k, k:] + _picked(shares.mT[..., k:], parent)
        direct = own[..., :k, :k].gather(-1, parent.unsqueeze(-1))
        total = torch.cat([direct, detours], -1).logsumexp(-1)
        takes = uniform[..., k, :k] < (detours[..., 0] - total).exp()
        takes = takes & (torch.arange(k, device=x.device) > 0)  # the root has no edge
        chances = shares[..., k, :k].masked_fill(_cut_off(takes, parent), -torch.inf)
        end = _choose(chances, uniform[..., k, k:][..., :1])
        parent = torch.cat([parent.masked_fill(takes, k), end], -1)
    return parent


def _picked(table: Tensor, row: Tensor) -> Tensor:
    """Return the given rows ``[..., k]`` of a table ``[..., n, m]``."""
    return table.gather(-2, row.unsqueeze(-1).expand(*row.shape, table.shape[-1]))


def _cut_off(cut: Tensor, parent: Tensor) -> Tensor:
    """Whether the path of a node to the root passes a node that is cut, or starts there."""
    far = parent
    for _ in range((cut.shape[-1] - 1).bit_length()):  # paths of 1, 2, 4, ... edges
        cut = cut | cut.gather(-1, far)
        far = far.gather(-1, far)
    return cut


def _choose(logs: Tensor, uniform: Tensor) -> Tensor:
    """Draw an index ``[..., 1]`` in proportion to the exponential of logs ``[..., k]``."""
    steps = (logs - logs.amax(-1, keepdim=True)).exp().cumsum(-1)
    # The uniform number is below 1, so its product with the last step is below that step.
    return (steps <= uniform * steps[..., -1:]).sum(-1, keepdim=True)


def _stages(numbers: Numbers, x: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
    """Return what the elimination of nodes n - 1, n - 2, ... 1 leaves behind, and divisors.

    Returns:
        Three matrices ``[B, n, n]`` of logarithms, in which the weights of each row are scaled: the
        log-weights of the graph, in column k the weights into node k when it is eliminated, and in
        row k its shares then. And the smallest sum of a row, ``[B]``.
    """
    z = numbers if isinstance(numbers, Logarithms) else Entries()
    n = int(x.shape[-1])
    unread = torch.eye(n, dtype=torch.bool, device=x.device)
    unread[0] = True
    x = x.masked_fill(unread, FLOOR).clamp_min(FLOOR)
    logs = x - x.amax(-1, keepdim=True).clamp_min(FLOOR / 2)
    walk = z.store(logs if isinstance(z, Logarithms) else logs.exp())
    columns, rows = [], []
    smallest = torch.ones_like(x[:, 0, 0])
    for k in range(n - 1, 0, -1):
        (rest, into), (out, _) = (
            half.tensor_split((k,), 1) for half in walk[: k + 1].split((k, 1))
        )
        shares, total = z.shares(out)
        smallest = torch.minimum(smallest, total.flatten())
        walk = z.add_product(rest, into, shares)
        columns.append(pad(z.log(into), (0, 0, 0, 0, 0, n - k), value=FLOOR))
        rows.append(pad(z.log(shares), (0, 0, 0, n - k), value=FLOOR))
    first = torch.full_like(z.store(x)[:, :1], FLOOR)
    into = torch.cat([first, *reversed(columns)], 1)
    shares = torch.cat([first.transpose(0, 1), *reversed(rows)], 0)
    return (logs, z.read(into), z.read(shares)), smallest
