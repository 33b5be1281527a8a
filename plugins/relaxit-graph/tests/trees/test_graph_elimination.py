"""Sums over trees against enumeration and against 500 digits, at every size of the weights."""

from __future__ import annotations

import pytest
import torch
from tree_oracles import INF, MASKS, directed, enumerate_trees, even, exact_marginals, normal

from relaxit_graph.trees.arithmetic import Batches, Logarithms
from relaxit_graph.trees.elimination import differentiate, eliminate
from relaxit_graph.trees.underflow import SMALLEST

NUMBERS = pytest.mark.parametrize("numbers", [Batches(), Logarithms()], ids=["plain", "logs"])


@NUMBERS
@pytest.mark.parametrize("scale", [0.0, 1.0, 10.0, 50.0])
@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_sums_of_directed_trees_are_those_of_enumeration(numbers, n, scale):
    x = torch.cat([scale * normal(4, n, n), scale * normal(2, n, n).sign(), normal(1, n, n) - 12])
    log_z, marginals, smallest = eliminate(x, numbers)
    want = enumerate_trees(x, directed(n))
    torch.testing.assert_close(log_z, want.log_z, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(marginals, want.mean, rtol=0, atol=2e-13)
    assert isinstance(numbers, Logarithms) or (smallest > SMALLEST).all()


@NUMBERS
@pytest.mark.parametrize("row", range(len(MASKS)))
def test_excluded_edges_have_no_mass(numbers, row):
    x = 3 * normal(3, 5, 5) + MASKS[row]
    log_z, marginals, _ = eliminate(x, numbers)
    want = enumerate_trees(x, directed(5))
    torch.testing.assert_close(log_z, want.log_z, rtol=0, atol=1e-12)
    torch.testing.assert_close(marginals, want.mean, rtol=0, atol=1e-13)
    assert (marginals[x == -INF] == 0).all()


@pytest.mark.parametrize("scale", [1.0, 20.0, 60.0])
def test_each_marginal_has_a_small_relative_error(scale):
    x = scale * even(normal(8, 8)) * 2**0.5
    got, want = eliminate(x[None], Batches())[1][0], exact_marginals(x)
    for i in range(1, 8):
        for j in range(8):
            if i != j:
                assert abs(float(got[i, j]) - want[i][j]) <= 4e-15 * want[i][j]


@pytest.mark.parametrize("n", [2, 3, 7, 12, 31, 34, 70, 101])
def test_every_node_has_one_edge_in_graphs_of_any_size(n):
    x = 5 * normal(3, n, n)
    plain, logs = eliminate(x, Batches()), eliminate(x, Logarithms())
    ones = torch.ones(3, n - 1, dtype=torch.float64)
    torch.testing.assert_close(plain[1][:, 1:].sum(-1), ones, rtol=0, atol=1e-13)
    torch.testing.assert_close(plain[1], logs[1], rtol=0, atol=1e-12)
    torch.testing.assert_close(plain[0], logs[0], rtol=1e-13, atol=0)
    w = x.exp().masked_fill(torch.eye(n, dtype=torch.bool), 0.0)
    minor = (torch.diag_embed(w.sum(-1)) - w)[:, 1:, 1:]
    torch.testing.assert_close(plain[0], minor.logdet(), rtol=1e-9, atol=0)


def test_a_small_divisor_tells_where_plain_numbers_underflow():
    # A path on which each step away from the root is e^300 times as likely as one towards it.
    n = 6
    x = torch.full((1, n, n), -INF, dtype=torch.float64)
    for i in range(1, n):
        x[0, i, i - 1] = 0.0
        if i + 1 < n:
            x[0, i, i + 1] = 300.0
    assert not eliminate(x, Batches())[2] > SMALLEST
    log_z, marginals, _ = eliminate(x, Logarithms())
    path = torch.eye(n, dtype=torch.float64).roll(-1, 1)
    path[0] = 0.0
    torch.testing.assert_close(marginals[0], path, rtol=0, atol=1e-15)
    torch.testing.assert_close(log_z, torch.zeros(1, dtype=torch.float64), rtol=0, atol=1e-12)


@NUMBERS
def test_the_derivative_is_that_of_finite_differences(numbers):
    x, along = 2 * normal(4, 5, 5), normal(4, 5, 5, number=1)
    x[0] += MASKS[0]
    change, _ = differentiate(x, along, numbers)
    ahead, behind = (eliminate(x + h * along, numbers)[1] for h in (1e-6, -1e-6))
    torch.testing.assert_close(change, (ahead - behind) / 2e-6, rtol=0, atol=1e-8)
    assert change.abs().max() > 0.01


def test_derivatives_agree_in_large_graphs():
    x, along = 20 * normal(2, 70, 70), normal(2, 70, 70, number=1)
    plain, logs = differentiate(x, along, Batches())[0], differentiate(x, along, Logarithms())[0]
    torch.testing.assert_close(plain, logs, rtol=0, atol=1e-11)
    assert plain.abs().max() > 1e-3
