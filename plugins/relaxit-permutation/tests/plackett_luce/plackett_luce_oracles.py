"""The oracles of Plackett-Luce: all orders, and their masses by the definition.

Only :func:`distribution` uses the package tested. Orders are listed with itertools, their masses
multiplied up choice by choice, and differentiated by autograd.
"""

from __future__ import annotations

import itertools
import math

import torch
from permutation_helpers import listed, normal
from torch import Tensor

from relaxit.testing import count_values, wrong_frequencies
from relaxit_permutation import PlackettLuce
from relaxit_permutation.plackett_luce.permutation_plackett_luce import PermutationPlackettLuce


def scales(n: int, number: int = 7) -> Tensor:
    """Scores ``[2, 3, n]``: equal, nearly equal, ordinary, large, very large, of two extremes."""
    x = normal(6, n, number=number)
    sizes = torch.tensor([0.0, 0.01, 1.0, 10.0, 1e4], dtype=torch.float64).unsqueeze(-1)
    return torch.cat([x[:5] * sizes, 50 * x[5:].sign()]).view(2, 3, n)


def orders(n: int) -> list[tuple[int, ...]]:
    return list(itertools.permutations(range(n)))


def log_masses(scores: Tensor) -> Tensor:
    """Log-mass ``[N, *batch]`` of every order: a softmax over those left, for each choice."""
    scores = scores.double()
    found = []
    for order in orders(scores.shape[-1]):
        left, log = list(order), torch.zeros(scores.shape[:-1], dtype=torch.float64)
        while left:
            log = log + scores[..., left].log_softmax(-1)[..., 0]
            left.pop(0)
        found.append(log)
    return torch.stack(found)


def mean_of(log: Tensor) -> Tensor:
    """Marginals ``[*batch, n, n]`` of log-masses ``[N, *batch]``."""
    n = next(n for n in range(9) if math.factorial(n) == len(log) and n)
    return torch.einsum("s...,sij->...ij", log.exp(), listed(n, n))


def entropy_of(log: Tensor) -> Tensor:
    return -(log.exp() * log).sum(0)


def kl_of(log: Tensor, other: Tensor) -> Tensor:
    return (log.exp() * (log - other)).sum(0)


def along(values: Tensor, scores: Tensor) -> Tensor:
    """Values ``[N, n, n]`` as ``[N, 1, ..., 1, n, n]``, to broadcast against a batch."""
    return values.view(-1, *(1,) * (scores.dim() - 1), *values.shape[-2:])


def distribution(scores: Tensor) -> PlackettLuce:
    return PermutationPlackettLuce(n=scores.shape[-1]).discrete(scores)


def tolerance(dtype: torch.dtype) -> float:
    return 1e-12 if dtype == torch.float64 else 1e-6


def wrong_orders(values: Tensor, log: Tensor) -> str:
    """What is wrong with matrices ``[M, n, n]``, given the log-masses of all orders."""
    return wrong_frequencies(count_values(values, listed(*values.shape[-2:])), log.exp())
