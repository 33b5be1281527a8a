"""Alignments, compared with soft-DTW and dynamic time warping as textbooks write them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sequence_oracles import close, normal

import relaxit


def soft_dtw(cost, gamma, moves):
    """Soft minimum over all paths of their cost, Cuturi and Blondel's algorithm 1."""
    rows, columns = cost.shape
    r = np.full((rows + 1, columns + 1), np.inf)
    r[0, 0] = 0.0
    for i in range(1, rows + 1):
        for j in range(1, columns + 1):
            ways = np.array([r[i - 1, j - 1], r[i, j - 1], r[i - 1, j]])[:moves]
            least = ways.min()
            if np.isfinite(least):
                soft = least - gamma * np.log(np.exp(-(ways - least) / gamma).sum())
                r[i, j] = cost[i - 1, j - 1] + (soft if gamma else least)
    return r[rows, columns]


def expected_path(cost, gamma, moves, step=1e-5):
    """The derivative of the soft minimum in each cost, by differences."""
    slope = np.zeros_like(cost)
    for place in np.ndindex(*cost.shape):
        near = np.zeros_like(cost)
        near[place] = step
        change = soft_dtw(cost + near, gamma, moves) - soft_dtw(cost - near, gamma, moves)
        slope[place] = change / (2 * step)
    return slope


@pytest.mark.parametrize(("moves", "number"), [("warping", 3), ("attention", 2)])
@pytest.mark.parametrize("gamma", [0.1, 1.0, 10.0])
@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (4, 7), (6, 6), (1, 5)])
def test_the_gradient_of_soft_dtw_is_the_expected_path(moves, number, gamma, rows, columns):
    alignment = relaxit.get("alignment", rows=rows, columns=columns, moves=moves)
    cost = normal(rows, columns).square().requires_grad_()
    q = alignment.discrete(-cost / gamma)
    softest = -gamma * q.log_partition()
    close(softest.detach(), torch.tensor(soft_dtw(cost.detach().numpy(), gamma, number)), 1e-11)
    wanted = torch.from_numpy(expected_path(cost.detach().numpy(), gamma, number))
    torch.testing.assert_close(q.mean.detach(), wanted, rtol=0, atol=1e-7)
    (slope,) = torch.autograd.grad(softest, cost)
    close(slope, q.mean.detach())
    close(alignment.relax(-cost.detach(), gamma), slope)


@pytest.mark.parametrize(("rows", "columns"), [(12, 15), (20, 9), (30, 30)])
def test_the_mode_of_long_sequences_has_the_least_cost(rows, columns):
    alignment = relaxit.get("alignment", rows=rows, columns=columns)
    x, y = normal(rows, number=1).cumsum(0), normal(columns, number=2).cumsum(0)
    cost = (x[:, None] - y).square()
    path = alignment.discrete(-cost).mode
    assert bool(alignment.vertices.check(path))
    r = np.full((rows + 1, columns + 1), np.inf)
    r[0, 0] = 0
    for i, j in np.ndindex(rows, columns):
        r[i + 1, j + 1] = cost[i, j].item() + min(r[i, j], r[i, j + 1], r[i + 1, j])
    close((path * cost).sum(), torch.tensor(r[-1, -1]), 1e-11)


def test_rows_and_columns_can_be_exchanged():
    scores = normal(2, 3, 5)
    wide, tall = (relaxit.get("alignment", rows=r, columns=c) for r, c in ((3, 5), (5, 3)))
    close(wide.discrete(scores).mean, tall.discrete(scores.mT).mean.mT)
    backwards = wide.discrete(scores.flip(-1, -2)).mean.flip(-1, -2)
    close(wide.discrete(scores).mean, backwards)


def test_attention_gives_one_row_to_each_column():
    alignment = relaxit.get("alignment", rows=3, columns=7, moves="attention")
    q = alignment(normal(4, 3, 7), temperature=0.5)
    soft, hard = q.draw((6,))
    close(soft.sum(-2), torch.ones(6, 4, 7))
    assert bool((hard.sum(-2) == 1).all())
    assert bool((hard.argmax(-2).diff(dim=-1) >= 0).all())
    assert bool((hard.sum(-1) >= 1).all())


def test_sizes_follow_from_params():
    assert type(relaxit.get("alignment", rows=1, columns=1)).sizes(torch.Size((9, 3, 4))) == {
        "rows": 3,
        "columns": 4,
    }


def test_a_single_pair_trains():
    """There is one path, which has a gradient of zero rather than none."""
    alignment = relaxit.get("alignment", rows=1, columns=1)
    params = torch.zeros(2, 1, 1, requires_grad=True)
    soft = alignment(params, temperature=0.5).rsample()
    soft.sum().backward()
    assert torch.equal(params.grad, torch.zeros(2, 1, 1))
    assert torch.equal(soft, torch.ones(2, 1, 1))
