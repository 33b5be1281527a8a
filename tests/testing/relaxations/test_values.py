"""Which vertex counts as nearest: that by distance, or that by KL divergence, and no third one."""

from __future__ import annotations

import itertools

import torch

from relaxit.testing.relaxations.values import _are_marks, _distance, _divergence, _excess

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
    assert _excess(soft, by_distance, ORDERS, _distance) < 1e-12
    assert _excess(soft, by_divergence, ORDERS, _divergence) < 1e-12
    assert _excess(soft, by_distance, ORDERS, _divergence) > 1e-3
    assert _excess(soft, by_divergence, ORDERS, _distance) > 1e-3


def test_another_vertex_is_far_in_both():
    soft = soft_orders(50)
    wrong = best(soft).roll(1, -1)
    assert _excess(soft, wrong, ORDERS, _distance) > 1e-2
    assert _excess(soft, wrong, ORDERS, _divergence) > 1e-2


def test_vertices_with_a_fixed_number_of_ones():
    assert _are_marks(ORDERS)
    assert not _are_marks(torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
    assert not _are_marks(torch.tensor([[0.5, 0.5], [1.0, 0.0]]))
    assert not _are_marks(torch.tensor([0.0, 1.0]))
