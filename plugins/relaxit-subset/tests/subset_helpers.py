"""The oracles of these tests, by brute force.

Nothing here uses the package under test: subsets are listed with itertools, distributions are
written down from their definition and differentiated by autograd.
"""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
INF = torch.inf
LONG = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])

INFINITE = [
    [0.3, -INF, 1.0, -2.0, 0.0],
    [-INF, 0.7, -INF, 0.4, -1.0],
    [0.3, INF, 1.0, -2.0, 0.0],
    [40.0, INF, -INF, -40.0, 0.5],
    [-INF, 0.3, -INF, -INF, 1.2],
    [INF, 0.3, INF, 5.0, 1.2],
    [-INF, INF, -INF, -INF, 2.0],
]
"""Logits that mask and force items of five, two of which are chosen; the last three leave no
choice."""


def seed(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def normal(*shape: int, number: int = 7, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=seed(number), dtype=torch.float64).to(dtype)


def scales(n: int, number: int = 7) -> Tensor:
    """Logits ``[2, 3, n]``: all equal, nearly equal, ordinary, large, of two extreme values."""
    x = normal(6, n, number=number)
    sizes = torch.tensor([0.0, 0.01, 1.0, 10.0, 50.0], dtype=torch.float64).unsqueeze(-1)
    return torch.cat([x[:5] * sizes, 50 * x[5:].sign()]).view(2, 3, n)


def listed(n: int, k: int) -> Tensor:
    """All k-subsets, ``[N, n]``."""
    rows = [[float(i in s) for i in range(n)] for s in itertools.combinations(range(n), k)]
    return torch.tensor(rows, dtype=torch.float64).view(-1, n)


def along(values: Tensor, logits: Tensor) -> Tensor:
    """Values ``[N, n]`` as ``[N, 1, ..., 1, n]``, to broadcast against ``[*batch, n]``."""
    return values.view(-1, *(1,) * (logits.dim() - 1), logits.shape[-1])


def allowed(values: Tensor, logits: Tensor) -> Tensor:
    """Which subsets leave out all that is masked and hold all that is forced, ``[N, *batch]``."""
    z = along(values, logits)
    return ~((z == 1) & (logits == -INF) | (z == 0) & (logits == INF)).any(-1)


def poisson(logits: Tensor, k: int) -> Tensor:
    """Log-mass ``[N, *batch]`` of all subsets under the conditional Poisson distribution."""
    logits = logits.double()
    values = listed(logits.shape[-1], k)
    score = (along(values, logits) * torch.where(logits.isinf(), 0.0, logits)).sum(-1)
    open_ones = allowed(values, logits)
    total = torch.where(open_ones, score, -INF).logsumexp(0)
    return torch.where(open_ones, score - total, -INF)


def race(logits: Tensor, k: int) -> Tensor:
    """Log-mass ``[N, *batch]`` under Plackett-Luce, summed over all orders, in float64."""
    logits = logits.double()
    n, where = logits.shape[-1], {}
    for index, s in enumerate(itertools.combinations(range(n), k)):
        where[s] = index
    orders = list(itertools.permutations(range(n), k))
    place = torch.tensor([where[tuple(sorted(order))] for order in orders])
    if k == 0:
        return torch.zeros(1, *logits.shape[:-1], dtype=torch.float64)
    order = torch.tensor(orders)
    first = logits.movedim(-1, 0)
    log = torch.zeros(len(orders), *logits.shape[:-1], dtype=torch.float64)
    left = torch.ones(len(orders), n, dtype=torch.bool)
    for t in range(k):
        rest = torch.where(along(left, logits), logits, -INF).logsumexp(-1)
        log = log + first[order[:, t]] - rest
        left = left.scatter(1, order[:, t : t + 1], False)
    mass = [log[place == index].logsumexp(0) for index in range(len(where))]
    return torch.stack(mass)


def brute_force(theta: list[float], k: int) -> dict[tuple[int, ...], tuple[float, float]]:
    """Masses of all subsets under either distribution, over subsets and over orders."""
    weights = [math.exp(t) for t in theta]
    subsets = list(itertools.combinations(range(len(theta)), k))
    products = {s: math.prod(weights[i] for i in s) for s in subsets}
    found = {}
    for s in subsets:
        race = 0.0
        for order in itertools.permutations(s):
            left, chance = sum(weights), 1.0
            for i in order:
                chance *= weights[i] / left
                left -= weights[i]
            race += chance
        found[s] = products[s] / sum(products.values()), race
    return found


def mean_of(mass: Tensor, values: Tensor) -> Tensor:
    """Marginals ``[*batch, n]`` of log-masses ``[N, *batch]``."""
    return torch.einsum("s...,si->...i", mass.exp(), values)


def entropy_of(mass: Tensor) -> Tensor:
    return -(mass.exp() * torch.where(mass == -INF, 0.0, mass)).sum(0)


def kl_of(mass: Tensor, other: Tensor) -> Tensor:
    """Infinite where the other distribution lacks a subset of this one."""
    absent = mass == -INF
    gap = torch.where(absent, 0.0, mass) - torch.where(absent, 0.0, other)
    return (mass.exp() * gap).sum(0)


def tolerance(dtype: torch.dtype) -> float:
    return 1e-12 if dtype == torch.float64 else 1e-6


def close(got: Tensor, want: Tensor, atol: float, rtol: float = 0.0, what: str = "") -> None:
    """Assert ``|got - want| <= atol + rtol |want|``, infinities being equal to themselves."""
    got, want = got.detach().double(), want.detach().double()
    torch.testing.assert_close(got, want, atol=atol, rtol=rtol, msg=lambda text: f"{what}: {text}")
