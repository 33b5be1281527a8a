"""Which vertex counts as nearest: that by distance or that by KL divergence, and no other."""

from __future__ import annotations

import itertools

import torch

from relaxit.testing.relaxations.values import (
    excess_distance,
    have_equally_many_ones,
    squared_distance,
    vertex_divergence,
)

ORDERS = torch.eye(3, dtype=torch.float64)[torch.tensor(list(itertools.permutations(range(3))))]


def soft_orders(count: int) -> torch.Tensor:
    x = torch.randn(count, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for _ in range(200):
        x = x - x.logsumexp(-1, keepdim=True)
        x = x - x.logsumexp(-2, keepdim=True)
    return x.exp()


def best(scores: torch.Tensor) -> torch.Tensor:
    return ORDERS[(scores.unsqueeze(1) * ORDERS).sum((-1, -2)).argmax(1)]


def test_each_rounding_is_nearest_in_its_own_measure_only():
    soft = soft_orders(500)
    by_distance, by_divergence = best(soft), best(soft.log())
    assert excess_distance(soft, by_distance, ORDERS, squared_distance) < 1e-12
    assert excess_distance(soft, by_divergence, ORDERS, vertex_divergence) < 1e-12
    assert excess_distance(soft, by_distance, ORDERS, vertex_divergence) > 1e-3
    assert excess_distance(soft, by_divergence, ORDERS, squared_distance) > 1e-3


def test_another_vertex_is_far_in_both():
    soft = soft_orders(50)
    wrong = best(soft).roll(1, -1)
    assert excess_distance(soft, wrong, ORDERS, squared_distance) > 1e-2
    assert excess_distance(soft, wrong, ORDERS, vertex_divergence) > 1e-2


def test_vertices_with_a_fixed_number_of_ones():
    assert have_equally_many_ones(ORDERS)
    assert not have_equally_many_ones(torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
    assert not have_equally_many_ones(torch.tensor([[0.5, 0.5], [1.0, 0.0]]))
    assert not have_equally_many_ones(torch.tensor([0.0, 1.0]))
