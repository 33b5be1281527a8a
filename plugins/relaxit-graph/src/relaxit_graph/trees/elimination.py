r"""Sums over spanning trees by the elimination of nodes, without a subtraction.

Every node i other than the root 0 chooses one edge i -> j of weight w_ij, so that all paths lead to
the root. The weight of such a tree is the product of its edges, and Z is the sum over all trees. A
random walk that takes the edge i -> j with probability w_ij / t_i, where t_i is the sum of row i,
and ends at the root gives both sums that are wanted:

* **Z.** Eliminating node k from the walk leaves one on the other nodes with weights
  w_ij + w_ik p_kj, p_kj = w_kj / t_k, and Z is t_k times the sum over the trees of the rest.
* **Marginals.** The probability of the edge i -> j is w_ij D_ij, where D_i0 is the inverse of what
  is left of w_i0 when all nodes but i and 0 are eliminated, and D_ij is D_i0 times the probability
  that the walk from j comes to the root before it comes to i.

D is computed by halves. Eliminating one half of the nodes leaves a walk on the other half A, whose
D is computed in the same way. For a node j of the half B that was eliminated, D_ij is the sum of
D_ia P_ja over the nodes a of A and the root, where P_ja is the probability that the walk from j
leaves B through a. Both halves, and the halves of these, are one batch, so that a graph of n nodes
takes about log2(n) levels and as many multiplications as inverting the matrix of Kirchhoff.

No step subtracts: every entry of the result has a small relative error, also where weights differ
by hundreds of orders of magnitude and determinants and inverses lose all digits.

References: Kirchhoff 1847, Tutte 1948 (the matrix-tree theorem); Grassmann, Taksar, Heyman, Oper.
Res. 33 (1985) (elimination without subtraction); Chaiken, SIAM J. Algebr. Discrete Methods 3 (1982)
(sums over forests).
"""

from __future__ import annotations

import torch
from torch import Tensor

from relaxit_graph.trees.arithmetic import FLOOR, Logarithms, Numbers
from relaxit_graph.trees.tangents import with_change

__all__ = ["differentiate", "eliminate"]


def eliminate(x: Tensor, numbers: Numbers) -> tuple[Tensor, Tensor, Tensor]:
    """Return log Z, the marginals of all edges and the smallest divisor.

    Everything is made of operations that PyTorch differentiates.

    Args:
        x: log-weights ``[B, n, n]`` in float64, entry i, j for the edge i -> j; ``-inf`` excludes
            an edge. The row of the root, node 0, and the diagonal are not read.
        numbers: the arithmetic: plain numbers or logarithms, see
            :class:`~relaxit_graph.trees.arithmetic.Arithmetic`.

    Returns:
        ``[B]``, ``[B, n, n]`` and ``[B]``. Divisors are sums of rows; where one is close to zero,
        plain numbers have underflowed.
    """
    n = int(x.shape[-1])  # a tensor while torch.jit.trace runs
    if n == 1:
        return torch.zeros_like(x[:, 0, 0]), torch.zeros_like(x), torch.ones_like(x[:, 0, 0])
    first = _first(n, numbers)
    logs, rounding, top = _scaled(x, first)
    if isinstance(numbers, Logarithms):
        found, log_z, smallest = _solve(numbers, logs)
        marginals = (logs + found).exp()
    else:
        weights = _exponential(logs, rounding)
        found, log_z, smallest = _solve(numbers, weights)
        marginals = weights * found
    return log_z + top.sum(-1), _with_the_root(marginals, first), smallest


def differentiate(x: Tensor, along: Tensor, numbers: Numbers) -> tuple[Tensor, Tensor]:
    """Return the derivative of the marginals along a direction, and the smallest divisor.

    Args:
        x: log-weights ``[B, n, n]``.
        along: direction ``[B, n, n]``, a change of the log-weights.
        numbers: the arithmetic, as for :func:`eliminate`.
    """
    n = int(x.shape[-1])
    if n == 1:
        return torch.zeros_like(x), torch.ones_like(x[:, 0, 0])
    first = _first(n, numbers)
    logs, rounding, _ = _scaled(x, first)
    change = _root_last(along, first).masked_fill(logs < FLOOR / 2, 0.0)
    if isinstance(numbers, Logarithms):
        found, _, smallest = _solve(with_change(numbers), torch.stack([logs, change]))
        moved = (logs + found[0]).exp() * (change + found[1])
    else:
        weights = _exponential(logs, rounding)
        change = weights * change
        found, _, smallest = _solve(with_change(numbers), torch.stack([weights, change]))
        moved = change * found[0] + weights * found[1]
    return _with_the_root(moved, first), smallest


def _first(n: int, numbers: Numbers) -> int:
    """Return 0 if node 0 stays as a leaf of the root, to make the number of nodes even, else 1."""
    return n % 2 if numbers.leaf else 1


def _scaled(x: Tensor, first: int) -> tuple[Tensor, Tensor, Tensor]:
    """Put the root last and scale the rows of weights, which multiplies all trees by the same.

    Returns:
        Logarithms ``[B, m, m + 1]``, which are at most 0, their rounding errors, and what was
        subtracted, ``[B, m]``.
    """
    x = _root_last(x, first).clamp_min(FLOOR)
    x.diagonal(dim1=-2, dim2=-1).fill_(FLOOR)
    if first == 0:  # node 0 has a single edge, to the root
        x[:, 0, :-1].fill_(FLOOR)
        x[:, :, 0].fill_(FLOOR)
        x[:, 0, -1].fill_(0.0)
    top = x.detach().amax(-1, keepdim=True).ceil()  # an integer, so that the error is known exactly
    logs = x - top
    rounding = (logs.detach() + top).sub_(x.detach())
    return logs, rounding, top.squeeze(-1)


def _root_last(x: Tensor, first: int) -> Tensor:
    """Put the edges to the root into the last column; leave out node 0 as one of the others."""
    return torch.cat([x[:, first:, first:], x[:, first:, :1]], -1)


def _with_the_root(marginals: Tensor, first: int) -> Tensor:
    """Put the root in front again, with a row of zeros; undo :func:`_root_last`."""
    kept = marginals[:, 1 - first :]
    out = torch.cat([kept[..., -1:], kept[..., 1 - first : -1]], -1)
    return torch.nn.functional.pad(out, (0, 0, 1, 0))


def _solve(numbers: Numbers, walk: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return D ``[..., B, n - 1, n]``, log Z ``[B]`` and the smallest divisor ``[B]``."""
    stored = numbers.suitable(int(walk.shape[-2]))
    divisors: list[Tensor] = []
    found, log_z = _escape(stored, stored.store(walk), divisors)
    smallest = torch.cat([d.reshape(-1, walk.shape[-3]) for d in divisors]).amin(0)
    return stored.read(found), log_z, smallest


def _exponential(logs: Tensor, rounding: Tensor) -> Tensor:
    """Return ``exp(logs - rounding)``, where the second number is the rounding error of the first.

    A difference of scores in the hundreds has an error of 1e-14, which would be that of its weight.
    """
    weights = logs.exp()
    return torch.addcmul(weights, weights, rounding, value=-1)


def _absorb(z: Numbers, walk: Tensor, divisors: list[Tensor]) -> Tensor:
    """Return the probabilities with which a walk leaves a block of nodes through each exit.

    Args:
        z: the arithmetic.
        walk: weights ``[h, h + exits]`` of a batch, the nodes of the block first.
        divisors: receives the sums of the rows, h of them, each when its node is eliminated.

    Returns:
        Probabilities ``[h, exits]``, whose rows sum to 1.
    """
    h = int(walk.shape[z.row])
    if h == 1:
        shares, total = z.shares(walk.narrow(z.column, 1, walk.shape[z.column] - 1))
        divisors.append(total)
        return shares
    first, second = walk.tensor_split((h // 2,), z.row)
    out_of_first = _absorb(z, first, divisors)
    into_first, rest = second.tensor_split((h // 2,), z.column)
    last = _absorb(z, z.add_product(rest, into_first, out_of_first), divisors)
    to_second, beyond = out_of_first.tensor_split((h - h // 2,), z.column)
    return torch.cat([z.add_product(beyond, to_second, last), last], z.row)


def _escape(z: Numbers, walk: Tensor, divisors: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return D of a batch and log Z.

    Args:
        z: the arithmetic.
        walk: weights ``[m, m + 1]``, the root last.
        divisors: receives all divisors.
    """
    m = int(walk.shape[z.row])
    if m == 1:
        to_root = walk.narrow(z.column, 1, 1)
        inverse = z.inverse(to_root)
        divisors += [z.value(to_root), z.value(inverse)]  # the inverse of what overflows is zero
        found = torch.cat([z.constant(to_root, z.zero), inverse], z.column)
        return found, z.log(divisors[-2]).flatten()
    if m % 2:
        found, log_z = _escape(z, _with_a_gate(z, walk), divisors)
        return found.narrow(z.row, 1, m).narrow(z.column, 1, m + 1), log_z
    small = z.suitable(m)
    if small is not z:
        found, log_z = _escape(small, small.store(z.read(walk)), divisors)
        return z.store(small.read(found)), log_z
    h, size = m // 2, walk.shape[z.batch]
    upper, lower = walk.split(h, z.row)
    across, own, root = lower.split([h, h, 1], z.column)
    halves = z.blocks([[upper], [own, across, root]], z.batch)
    pivots: list[Tensor] = []
    leave = _absorb(z, halves, pivots)
    divisors += pivots
    leave_a, leave_b = leave.split([size, size], z.batch)
    leave = torch.cat([leave_b, leave_a], z.batch)  # of the other half
    own, across, root = halves.split([h, h, 1], z.column)
    rest = z.add_product(torch.cat([own, root], z.column), across, leave)
    found, log_z = _escape(z, rest, divisors)
    cross_a, cross_b = z.product(found, leave).split([size, size], z.batch)
    found_a, found_b = found.split([size, size], z.batch)
    own_a, root_a = found_a.split([h, 1], z.column)
    found = z.blocks([[own_a, cross_a, root_a], [cross_b, found_b]], z.row)
    log_first = z.log(torch.cat(pivots, z.row)).sum(z.row).flatten()[:size]  # A, eliminated
    return found, log_first + log_z[size:]  # B, with A eliminated


def _with_a_gate(z: Numbers, walk: Tensor) -> Tensor:
    """Put a node in front through which all edges to the first of the others pass.

    It has a single edge, of weight 1. Sums over trees, and where walks go, stay what they are.
    """
    to_first, rest = walk.tensor_split((1,), z.column)
    others = torch.cat([to_first, z.constant(to_first, z.zero), rest], z.column)
    row = others.narrow(z.row, 0, 1)
    none, edge, nowhere = row.tensor_split((1, 2), z.column)
    zeros = z.constant(none, z.zero), z.constant(nowhere, z.zero)
    gate = torch.cat([zeros[0], z.constant(edge, z.one), zeros[1]], z.column)
    return torch.cat([gate, others], z.row)
