r"""The best directed tree of each matrix of scores: Chu, Liu and Edmonds for a batch.

Every node takes the best of its incoming arcs. Where arcs form a cycle, its nodes become one
supernode, and every arc into the supernode is compared by what it gains over the arc that it
replaces. This is repeated until there is no cycle; then supernodes are opened from the last one to
the first, and in each the arc that enters it replaces one arc of its cycle.

Usually the graph is built anew after each contraction. Here it never changes: supernodes are labels
of the nodes, the score of an arc is reduced by what the supernodes around its child have taken, and
arcs inside of a supernode are masked. So one round is a handful of operations on ``[*, n, n]`` that
contract all cycles of all graphs of the batch at once, and nothing depends on values. There are at
most n rounds, because each contraction leaves fewer nodes: O(n^3) for a graph in the worst case,
O(n^2 log n) for most.

References: Chu, Liu, Scientia Sinica 14 (1965); Edmonds, J. Res. Nat. Bur. Standards 71B (1967);
Fulkerson, Mathematical Programming 6 (1974), for the form with reduced scores.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from relaxit.tracing import may_branch_on_values

__all__ = ["maximum_arborescence"]

_NOTHING = torch.finfo(torch.float64).min
"""Score of an arc that is excluded, where infinite ones would be subtracted from each other."""


class _Round(NamedTuple):
    """What one round took, for each node the same as for the others of its supernode."""

    label: Tensor  # [*, n], the supernode: the smallest of its nodes
    child: Tensor  # [*, n], the node at which the arc that is taken enters
    head: Tensor  # [*, n], where that arc comes from; n is the implicit root


def maximum_arborescence(scores: Tensor, roots: Tensor, single_root: bool) -> Tensor:
    """Return the head of each node in an arborescence of the greatest sum of scores.

    Scores are summed in float64. Where arcs tie, one of the best arborescences is returned.

    Args:
        scores: scores ``[*, n, n]``; entry i, j belongs to the arc from head i to child j. The
            diagonal is not read. ``-inf`` excludes an arc.
        roots: scores ``[*, n]`` of the arcs from the implicit root.
        single_root: whether a single node hangs on the implicit root, or any positive number. If
            excluded arcs make several roots necessary, there are several.

    Returns:
        Indices ``[*, n]`` of heads; n is the implicit root. If no arborescence avoids the excluded
        arcs, the heads are arbitrary.

    Example:
        >>> scores = torch.tensor([[0.0, 5.0, 1.0], [5.0, 0.0, 4.0], [3.0, 3.0, 0.0]])
        >>> roots = torch.tensor([1.0, 0.0, 2.5])
        >>> maximum_arborescence(scores, roots, single_root=True)
        tensor([2, 0, 3])
        >>> maximum_arborescence(scores, roots + 4, single_root=False)
        tensor([3, 0, 3])
    """
    n = int(scores.shape[-1])  # a tensor while torch.jit.trace runs
    nodes = torch.arange(n, device=scores.device)
    arcs, loose = scores.detach().double(), roots.detach().double()
    paid = torch.zeros_like(loose)
    label = nodes + torch.zeros_like(loose, dtype=nodes.dtype)
    may_stop = may_branch_on_values(scores)
    rounds: list[_Round] = []
    for left in reversed(range(n)):
        short = label.int()  # comparisons of long integers are slow on the CPU
        arcs = torch.where(short.unsqueeze(-1) == short.unsqueeze(-2), -torch.inf, arcs)
        best, head = arcs.max(-2)
        taken, gain = _take(best - paid, head, loose - paid, label, single_root)
        rounds.append(taken)
        merged = _merge_cycles(taken)
        if left == 0 or (may_stop and torch.equal(merged, label)):
            break
        paid = paid + gain
        label = merged
    return _open(rounds)


def _take(
    best: Tensor, head: Tensor, loose: Tensor, label: Tensor, single_root: bool
) -> tuple[_Round, Tensor]:
    """Find the best arc into each supernode.

    Args:
        best: reduced score ``[*, n]`` of the best arc into each node from outside its supernode.
        head: where that arc comes from.
        loose: reduced score of the arc from the implicit root.
        label: the supernode of each node.
        single_root: whether the implicit root is taken only where there is nothing else.

    Returns:
        What is taken, and for each node by how much arcs into its supernode are reduced.
    """
    n = int(label.shape[-1])
    rooted = best == -torch.inf if single_root else loose > best
    if single_root:  # by supernode
        rooted = _least(rooted.to(label.dtype), label).gather(-1, label) > 0
    head = head.masked_fill(rooted, n)
    best = torch.where(rooted, loose, best).clamp_min(_NOTHING)
    none = torch.full_like(best, _NOTHING)
    gain = none.scatter_reduce(-1, label, best, "amax").gather(-1, label)
    nodes = torch.arange(n, device=label.device)
    child = _least(torch.where(best == gain, nodes, n), label).gather(-1, label)
    head = head.gather(-1, child.clamp_max(n - 1))
    return _Round(label, child, head), torch.where(head == n, 0.0, gain)


def _least(numbers: Tensor, label: Tensor) -> Tensor:
    """Return the least number of the nodes with each label, ``[*, n]``."""
    most = torch.full_like(numbers, int(label.shape[-1]))
    return most.scatter_reduce(-1, label, numbers, "amin")


def _merge_cycles(taken: _Round) -> Tensor:
    """Return the labels ``[*, n]`` after each cycle of supernodes has become one."""
    label, _, head = taken
    n = int(label.shape[-1])
    end = torch.full_like(label[..., :1], n)
    step = torch.cat([torch.cat([label, end], -1).gather(-1, head), end], -1)
    least = torch.arange(n + 1, device=label.device) + torch.zeros_like(step)
    for _ in range(n.bit_length()):  # 2^k steps from each node, and the least node on the way
        least = torch.minimum(least, least.gather(-1, step))
        step = step.gather(-1, step)
    # After n steps every node is on a cycle, and every node of a cycle is reached.
    on_cycle = torch.zeros_like(step).scatter(-1, step, 1)[..., :n].gather(-1, label) > 0
    return torch.where(on_cycle, least[..., :n].gather(-1, label), label)


def _open(rounds: list[_Round]) -> Tensor:
    """Return the head of each node: arcs of later rounds replace those of earlier ones."""
    none = -1
    heads = torch.full_like(rounds[0].head, none)
    for label, child, head in reversed(rounds):
        entered = torch.zeros_like(label).scatter_add(-1, label, (heads != none).long())
        free = entered.gather(-1, label) == 0
        # All nodes of a supernode write the same number to the same place.
        target = torch.where(free, child, int(label.shape[-1]))
        padded = torch.cat([heads, heads[..., :1]], -1).scatter(-1, target, head)
        heads = padded[..., :-1]
    return heads
