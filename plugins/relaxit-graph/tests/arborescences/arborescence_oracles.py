"""The oracles of these tests: trees by brute force, sums over them in high precision, networkx."""

from __future__ import annotations

import itertools
from functools import cache

import mpmath
import networkx as nx
import pytest
import torch
from torch import Tensor

INF = torch.inf
ROOTS = pytest.mark.parametrize("single", [True, False], ids=["single", "multiple"])


def seed(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def normal(*shape: int, number: int = 0) -> Tensor:
    return torch.randn(shape, generator=seed(number), dtype=torch.float64)


def is_tree(heads: tuple[int, ...], single: bool) -> bool:
    """Whether heads, n for the implicit root, are those of a tree."""
    n = len(heads)
    roots = heads.count(n)
    if roots == 0 or (single and roots > 1):
        return False
    for node in range(n):
        for _ in range(n):
            node = heads[node] if node < n else n
        if node < n:
            return False
    return True


@cache
def trees(n: int, single: bool) -> Tensor:
    """All trees ``[N, n, n]`` in float64: a one in each column, that of a root on the diagonal."""
    heads = [h for h in itertools.product(range(n + 1), repeat=n) if is_tree(h, single)]
    value = torch.zeros(len(heads), n, n, dtype=torch.float64)
    for tree, of_tree in zip(value, heads, strict=True):
        for child, head in enumerate(of_tree):
            tree[child if head == n else head, child] += 1
    # A node is not its own head: that would be counted twice on the diagonal.
    return value[(value.diagonal(dim1=-2, dim2=-1) < 2).all(-1)].unique(dim=0)


def totals(params: Tensor, values: Tensor) -> Tensor:
    """Sum of the scores of each tree, ``[*batch, N]``; 0 times -inf is 0."""
    kept = torch.where(values == 1, params.double().unsqueeze(-3), 0.0)
    return kept.sum((-2, -1))


def enumerated(params: Tensor, single: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Log Z ``[*batch]``, marginals ``[*batch, n, n]``, log-masses ``[*batch, N]``."""
    values = trees(params.shape[-1], single)
    score = totals(params, values)
    log_z = score.logsumexp(-1)
    log_mass = score - log_z.unsqueeze(-1)
    return log_z, torch.einsum("...t,tij->...ij", log_mass.exp(), values), log_mass


def legal_masks(n: int, count: int, single: bool, share: float = 0.5, number: int = 0) -> Tensor:
    """Params ``[count, n, n]`` with a random share of -inf, each of which leaves a tree."""
    found: list[Tensor] = []
    for attempt in itertools.count():
        params = normal(count, n, n, number=number + 1000 * attempt)
        drop = torch.rand(params.shape, generator=seed(number + attempt)) < share
        params = params.masked_fill(drop, -INF)
        found += params[totals(params, trees(n, single)).amax(-1) > -INF]
        if len(found) >= count:
            return torch.stack(found[:count])
    raise AssertionError


def exact_marginals(params: Tensor, single: bool) -> Tensor:
    """Marginals ``[n, n]`` of one matrix by determinants in numbers of 400 digits."""
    n = params.shape[-1]
    with mpmath.workdps(400):
        weight = [[mpmath.exp(mpmath.mpf(float(x))) for x in row] for row in params]

        def laplacian(w: list[list[mpmath.mpf]]) -> mpmath.mpf:
            """Koo et al. 2007: a row of roots for a single one, roots on the diagonal for any."""
            m = mpmath.matrix(n, n)
            for i, j in itertools.product(range(n), repeat=2):
                if i == j:
                    m[i, j] = sum(w[k][j] for k in range(n) if k != j) + (0 if single else w[j][j])
                else:
                    m[i, j] = -w[i][j]
            if single:
                for j in range(n):
                    m[0, j] = w[j][j]
            return mpmath.det(m)

        total = laplacian(weight)
        out = torch.zeros(n, n, dtype=torch.float64)
        for i, j in itertools.product(range(n), repeat=2):
            without = [list(row) for row in weight]
            without[i][j] = mpmath.mpf(0)
            out[i, j] = float((total - laplacian(without)) / total)
        return out


def best_by_networkx(params: Tensor) -> float:
    """The greatest sum of a tree with any number of roots."""
    n = params.shape[-1]
    graph = nx.DiGraph()
    for i, j in itertools.product(range(n), repeat=2):
        if params[i, j] > -INF:
            graph.add_edge(n if i == j else i, j, weight=float(params[i, j]))
    best = nx.maximum_spanning_arborescence(graph)
    return sum(data["weight"] for _, _, data in best.edges(data=True))
