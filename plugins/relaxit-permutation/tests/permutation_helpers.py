"""The oracles of these tests: plain loops and brute force.

Only :func:`structure` uses the package tested.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

import relaxit

INF = torch.inf
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
LONG = (torch.float32, torch.float64)
ALL_DTYPES = pytest.mark.parametrize("dtype", DTYPES)
dtypes = pytest.mark.parametrize("dtype", LONG)
ROWS = pytest.mark.parametrize("relaxation", ["softsort", "neuralsort"])
"""Relaxations of sorting whose rows, but not columns, sum to 1."""

KINDS = (
    "zero",
    "gumbel",
    "learned",
    "rank one",
    "sparse",
    "nearly tied",
    "ties",
    "duplicates",
    "extreme",
    "blocks",
    "clusters",
    "distances",
)
"""What :func:`scores` can make."""


def seed(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def normal(*shape: int, number: int = 7, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=seed(number), dtype=torch.float64).to(dtype)


def gumbel(*shape: int, number: int = 7) -> Tensor:
    uniform = torch.rand(shape, generator=seed(number), dtype=torch.float64)
    return -torch.log(-torch.log(uniform.clamp(1e-300, 1 - 1e-16)))


def scores(kind: str, batch: int, m: int, n: int, number: int = 7) -> Tensor:
    """Scores ``[batch, m, n]`` in float64, of one of ``KINDS``."""
    g, noise = seed(number), gumbel(batch, m, n, number=number)

    def randn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=g, dtype=torch.float64)

    def group(size: int) -> Tensor:
        return torch.arange(size) * 3 // size

    match kind:
        case "zero":
            return torch.zeros_like(noise)
        case "gumbel":
            return noise
        case "learned":
            return 20 * randn(batch, m, n) + noise
        case "rank one":
            return 5 * randn(batch, m, 1) + 5 * randn(batch, 1, n)
        case "sparse":
            few = torch.rand(noise.shape, generator=g, dtype=torch.float64) < 3 / n
            return torch.where(few, noise, -30.0)
        case "nearly tied":
            return 1e-6 * noise
        case "ties":
            return torch.randint(0, 3, noise.shape, generator=g).double()
        case "duplicates":
            return noise[..., torch.arange(n) // 2]
        case "extreme":
            return 1e4 * randn(batch, m, n).sign()
        case "blocks":
            return noise * 0.3 + 20.0 * (group(m)[:, None] == group(n))
        case "clusters":
            rows = torch.randint(0, 3, (batch, m, 1), generator=g)
            return noise * 0.1 + 10.0 * (rows == torch.randint(0, 3, (batch, 1, n), generator=g))
        case "distances":
            return -10 * (randn(batch, m, 1) - randn(batch, 1, n)).abs()
    raise ValueError(kind)


def uneven(batch: int, n: int, gap: float, number: int = 7) -> Tensor:
    """Two blocks a gap above the rest that have not as many rows as columns: some must leak."""
    here = (torch.arange(n) < n // 2)[:, None] == (torch.arange(n) < n // 2 + 1)
    return gap * here + 0.3 * gumbel(batch, n, n, number=number)


def attractive(batch: int, n: int, number: int = 7) -> Tensor:
    """All rows prefer the first column, some of them very much."""
    x = gumbel(batch, n, n, number=number)
    x[..., 0] += torch.linspace(0, 300, n, dtype=torch.float64)
    return x


def sorting(batch: int, n: int, number: int = 7) -> Tensor:
    """Rank times the score of the item: the scores whose best permutation sorts."""
    return torch.arange(n, 0, -1).double()[:, None] * normal(batch, 1, n, number=number)


def unrolled(
    x: Tensor, iterations: int, rows: Tensor | float = 1.0, columns: Tensor | float = 1.0
) -> Tensor:
    """Sinkhorn's iterations in the log domain, written down; its gradient is autograd's.

    Args:
        x: ``[..., m, n]``; rows: ``[..., m]`` and columns: ``[..., n]`` are the sums wanted.
    """
    log_r = torch.as_tensor(rows, dtype=x.dtype).log().expand(x.shape[:-1]).unsqueeze(-1)
    shape = (*x.shape[:-2], x.shape[-1])
    log_c = torch.as_tensor(columns, dtype=x.dtype).log().expand(shape).unsqueeze(-2)
    for _ in range(iterations):
        x = x - x.logsumexp(-1, keepdim=True) + log_r
        x = x - x.logsumexp(-2, keepdim=True) + log_c
    return x.exp()


def padded(x: Tensor) -> Tensor:
    """A wide matrix with n - m rows of zeros below, each by itself."""
    m, n = x.shape[-2:]
    return torch.cat([x, x.new_zeros(*x.shape[:-2], n - m, n)], -2)


def sums_off(p: Tensor) -> Tensor:
    """The largest error of a row or column sum, ``[...]``, in float64; a wide column may lack."""
    p = p.detach().double()
    rows, columns = (p.sum(-1) - 1).abs(), p.sum(-2) - 1
    if p.shape[-2] == p.shape[-1]:
        columns = columns.abs()
    return torch.maximum(rows.amax(-1), columns.amax(-1))


def listed(m: int, n: int) -> Tensor:
    """All matchings, ``[N, m, n]``, in the order of itertools."""
    found = torch.zeros(len(list(itertools.permutations(range(n), m))), m, n, dtype=torch.float64)
    for one, order in zip(found, itertools.permutations(range(n), m), strict=True):
        for i, j in enumerate(order):
            one[i, j] = 1
    return found


def is_permutation(value: Tensor) -> Tensor:
    binary = ((value == 0) | (value == 1)).flatten(-2).all(-1)
    return binary & (value.sum(-1) == 1).all(-1) & (value.sum(-2) == 1).all(-1)


def totals(x: Tensor) -> Tensor:
    """The sum of scores of every matching, ``[..., N]``."""
    m, n = x.shape[-2:]
    rows = torch.arange(m)
    orders = torch.tensor(list(itertools.permutations(range(n), m))).view(-1, m)
    return x.double()[..., rows, orders].sum(-1)


def best(x: Tensor) -> Tensor:
    """The matching with the greatest sum, by trying all: ``[..., m, n]``."""
    return listed(*x.shape[-2:])[totals(x).argmax(-1)]


def which(values: Tensor) -> Tensor:
    """Where matchings stand in :func:`listed`, ``[...]``."""
    options = listed(*values.shape[-2:])
    same = (values.double().unsqueeze(-3) == options).flatten(-2).all(-1)
    assert bool((same.sum(-1) == 1).all()), "a value that is not a matching"
    return same.double().argmax(-1)


def frequencies(theta: Tensor, draws: int, number: int) -> Tensor:
    """How often each matching is the best of ``theta`` plus Gumbel noise, ``[N]``."""
    noisy = theta + gumbel(draws, *theta.shape, number=number)
    return torch.bincount(totals(noisy).argmax(-1), minlength=len(listed(*theta.shape))).double()


def structure(m: int, n: int, **options: Any) -> Any:
    """The structure tested for matrices ``[m, n]``."""
    if m == n:
        return relaxit.get("permutation", n=n, **options)
    return relaxit.get("matching", rows=m, columns=n, **options)


def close(got: Tensor, want: Tensor, atol: float, rtol: float = 0.0, what: str = "") -> None:
    """Assert ``|got - want| <= atol + rtol |want|``, in float64."""
    got, want = got.detach().double(), want.detach().double()
    torch.testing.assert_close(got, want, atol=atol, rtol=rtol, msg=lambda text: f"{what}: {text}")
