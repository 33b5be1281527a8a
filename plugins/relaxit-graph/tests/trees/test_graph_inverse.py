"""Sums over trees by an inverse: accurate where it says so, against eliminations and 500 digits."""

from __future__ import annotations

import math

import pytest
import torch
from tree_oracles import INF, MASKS, even, exact_marginals, normal

from relaxit_graph.trees.arithmetic import Logarithms
from relaxit_graph.trees.elimination import differentiate, eliminate
from relaxit_graph.trees.inverse import change_by_inverse, sums_by_inverse
from relaxit_graph.trees.log_partition import log_partition


def directions(scale: float, n: int) -> torch.Tensor:
    return scale * normal(32, n, n)


def potentials(scale: float, n: int) -> torch.Tensor:
    """Edges to some nodes are much more likely than those to others."""
    return scale * (normal(32, n, 1) + normal(32, 1, n, number=8))


def path_and_more(scale: float, n: int) -> torch.Tensor:
    keep = even(torch.rand(32, n, n, generator=torch.Generator().manual_seed(0))) < 0.3
    keep |= torch.eye(n, dtype=torch.bool).roll(1, 1) | torch.eye(n, dtype=torch.bool).roll(-1, 1)
    return even(scale * normal(32, n, n)).masked_fill(~keep, -INF)


@pytest.mark.parametrize("kind", [directions, potentials, path_and_more])
@pytest.mark.parametrize("scale", [0.1, 2.0, 4.0, 8.0, 60.0])
@pytest.mark.parametrize("n", [2, 3, 5, 8, 21])
def test_what_is_accepted_is_accurate(n, scale, kind):
    x, along = kind(scale, n), normal(32, n, n, number=9)
    log_z, marginals, _ = eliminate(x, Logarithms())
    change, _ = differentiate(x, along, Logarithms())
    for error in (1e-12, 1e-9):
        got_z, got, inverse = sums_by_inverse(x, error)
        rows = ~inverse[:, 0, 0].isnan()
        assert rows.any() or scale > 1
        assert inverse[~rows].isnan().all()
        torch.testing.assert_close(got_z[rows], log_z[rows], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(got[rows], marginals[rows], rtol=2 * error, atol=1e-280)
        moved = change_by_inverse(x, inverse, along)
        assert moved[~rows].isnan().any(-1).any(-1).all()
        torch.testing.assert_close(moved[rows], change[rows], rtol=0, atol=2 * error)


@pytest.mark.parametrize("scale", [0.0, 1.0])
@pytest.mark.parametrize("n", [1, 2, 3, 10, 30])
def test_even_graphs_are_accepted(n, scale):
    x = even(scale * normal(16, n, n))
    assert sums_by_inverse(x, 1e-12)[2].isfinite().all()


def test_what_cancels_is_rejected():
    cold = 60.0 * even(normal(8, 6, 6))
    apart = torch.full((1, 6, 6), -INF, dtype=torch.float64)
    apart[0, 1, 0] = apart[0, 2:, 5] = apart[0, 5, 2] = 0.0  # no path from 2 to 5 leads to 0
    far = torch.zeros(1, 6, 6, dtype=torch.float64)
    far[:, 1:, 0] = -800.0  # edges to the root underflow
    for x in (cold, apart, far):
        assert sums_by_inverse(x, 1e-9)[2].isnan().all()


def test_cycles_whose_pivots_are_exchanged_are_rejected():
    # Two cycles of strong edges. When the first of them is eliminated its pivot cancels to zero, so
    # that rows are exchanged, and the diagonal of what is returned as the inverse is zero.
    x = torch.full((1, 6, 6), -INF, dtype=torch.float64)
    for i, j, score in (
        *((1, 5, 0.0), (5, 1, 0.0), (2, 4, 0.0), (4, 3, 0.0), (3, 2, 0.0)),
        *((5, 4, -184.0), (2, 1, -557.0), (3, 0, -483.0)),
    ):
        x[0, i, j] = score
    assert sums_by_inverse(x, 1e-9)[2].isnan().all()
    # The best tree leaves the cycles by two of the weak edges, 5 -> 4 and 3 -> 0.
    tree = torch.zeros(6, 6, dtype=torch.float64)
    for i, j in ((1, 5), (5, 4), (4, 3), (3, 0), (2, 4)):
        tree[i, j] = 1.0
    torch.testing.assert_close(log_partition(x)[1][0], tree, rtol=0, atol=1e-12)


@pytest.mark.parametrize("row", [0, 3])
def test_excluded_edges_change_nothing(row):
    x = normal(3, 5, 5) + MASKS[row]
    inverse = sums_by_inverse(x, 1e-12)[2]
    along = normal(3, 5, 5, number=3)
    change = change_by_inverse(x, inverse, along)
    other = along.masked_fill(x == -INF, math.inf)
    assert inverse.isfinite().all()
    assert (change[x == -INF] == 0).all()
    torch.testing.assert_close(change_by_inverse(x, inverse, other), change, rtol=0, atol=0)


@pytest.mark.parametrize("row", [1, 2])
def test_a_relative_error_of_what_has_no_mass_is_not_claimed(row):
    # Node 4 hangs on node 1, so no walk to the root takes the edge from 1 to 4, which is allowed.
    assert sums_by_inverse(normal(3, 5, 5) + MASKS[row], 1e-9)[2].isnan().all()


def test_the_diagonal_and_the_row_of_the_root_are_not_read():
    x = normal(4, 5, 5)
    other = x.clone()
    other[:, 0] = math.nan
    other.diagonal(dim1=-2, dim2=-1).fill_(1e4)
    for got, want in zip(sums_by_inverse(other, 1e-12), sums_by_inverse(x, 1e-12), strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=0)


def test_a_batch_of_easy_and_hard_graphs():
    x = even(normal(4, 8, 8)) * torch.tensor([1.0, 20.0, 0.5, 60.0])[:, None, None]
    x.requires_grad_()
    log_z, marginals = log_partition(x)
    for row, got in zip(x.detach(), marginals.detach(), strict=True):
        want = exact_marginals(row)
        for i in range(1, 8):
            for j in set(range(8)) - {i}:
                assert abs(float(got[i, j]) - want[i][j]) <= 1e-12 * want[i][j]
    upward = normal(4, 8, 8, number=5)
    (slope,) = torch.autograd.grad([log_z.sum(), marginals], x, [torch.ones(()).double(), upward])
    want = marginals + differentiate(x.detach(), upward, Logarithms())[0]
    torch.testing.assert_close(slope, want.detach(), rtol=0, atol=1e-12)
