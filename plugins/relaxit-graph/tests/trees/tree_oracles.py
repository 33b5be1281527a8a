"""The oracles of these tests: all trees of a small graph, listed by brute force."""

from __future__ import annotations

import itertools
from functools import cache
from typing import NamedTuple

import mpmath
import torch
from torch import Tensor

INF = torch.inf


@cache
def undirected(n: int) -> Tensor:
    """All spanning trees of n nodes, ``[N, n, n]``: sets of n - 1 edges without a cycle."""
    found = []
    for edges in itertools.combinations(itertools.combinations(range(n), 2), n - 1):
        part = list(range(n))
        for i, j in edges:
            if part[i] == part[j]:
                break
            part = [part[i] if each == part[j] else each for each in part]
        else:
            value = torch.zeros(n, n, dtype=torch.float64)
            for i, j in edges:
                value[i, j] = value[j, i] = 1.0
            found.append(value)
    return torch.stack(found)


@cache
def directed(n: int) -> Tensor:
    """All trees directed to node 0, ``[N, n, n]``: one edge for each other node, no cycle."""
    found = []
    for ends in itertools.product(range(n), repeat=n - 1):
        parent, far = (0, *ends), range(n)
        for _ in range(n):
            far = [parent[i] for i in far]
        if not any(far):
            value = torch.zeros(n, n, dtype=torch.float64)
            value[range(1, n), ends] = 1.0
            found.append(value)
    return torch.stack(found)


class Listed(NamedTuple):
    """What enumeration says of rows of scores.

    Attributes:
        mass: probabilities ``[N, *batch]``.
        log_z, entropy: ``[*batch]``.
        mean: ``[*batch, n, n]``.
    """

    mass: Tensor
    log_z: Tensor
    mean: Tensor
    entropy: Tensor


def enumerate_trees(scores: Tensor, trees: Tensor) -> Listed:
    """Sum over all trees; the score of a tree is the sum over its entries, ``-inf`` excludes."""
    scores = scores.double()
    used = trees.view(-1, *(1,) * (scores.dim() - 2), *trees.shape[1:])
    total = (used * scores.masked_fill(scores == -INF, 0.0)).sum((-2, -1))
    total = total.masked_fill((used * (scores == -INF)).bool().flatten(-2).any(-1), -INF)
    log_z = total.logsumexp(0)
    mass = (total - log_z).exp()
    entropy = torch.special.entr(mass).sum(0)
    return Listed(mass, log_z, torch.einsum("s...,sij->...ij", mass, trees), entropy)


def exact_marginals(x: Tensor, digits: int = 500) -> list[list[mpmath.mpf]]:
    """Marginals of the edges i -> j of trees directed to node 0, from the inverse Laplacian."""
    n = len(x)
    with mpmath.workdps(digits):
        w = [[mpmath.exp(mpmath.mpf(float(x[i, j]))) for j in range(n)] for i in range(n)]
        minor = mpmath.matrix(n - 1, n - 1)
        for i in range(1, n):
            for j in range(n):
                if i != j:
                    minor[i - 1, i - 1] += w[i][j]
                    if j:
                        minor[i - 1, j - 1] -= w[i][j]
        inverse = minor**-1
        marginals = [[mpmath.mpf(0)] * n for _ in range(n)]
        for i in range(1, n):
            for j in set(range(n)) - {i}:
                behind = inverse[j - 1, i - 1] if j else 0
                marginals[i][j] = w[i][j] * (inverse[i - 1, i - 1] - behind)
    return marginals


def normal(*shape: int, number: int = 7, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(number)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def even(x: Tensor) -> Tensor:
    """The symmetric part of a matrix."""
    return (x + x.mT) / 2


def mask(n: int, *edges: tuple[int, int]) -> Tensor:
    """Scores of 0 with these edges excluded in both directions."""
    scores = torch.zeros(n, n, dtype=torch.float64)
    for i, j in edges:
        scores[i, j] = scores[j, i] = -INF
    return scores


MASKS = (
    mask(5, (0, 1), (2, 4)),
    mask(5, (0, 1), (0, 2), (0, 3), (1, 4)),  # node 4 is the only neighbour of the root
    mask(5, (0, 2), (0, 3), (0, 4), (1, 3), (1, 4), (2, 4)),  # a path
    mask(5, (1, 2), (1, 3), (1, 4), (2, 3), (2, 4)),  # a star with one more edge
)
