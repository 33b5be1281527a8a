"""The elimination with each arithmetic against enumeration."""

from __future__ import annotations

import pytest
import torch
from arborescence_oracles import INF, enumerated, legal_masks, normal

from relaxit_graph.arborescences.partition import to_root
from relaxit_graph.arborescences.single_root import SINGLE_ROOT, Graded, SingleRoot
from relaxit_graph.trees.elimination import differentiate, eliminate
from relaxit_graph.trees.log_partition import log_partition
from relaxit_graph.trees.underflow import SMALLEST

SIZES = pytest.mark.parametrize("n", [1, 2, 3, 4, 5])


def in_place(marginals):
    """Marginals of edges to heads as those of arcs, the roots on the diagonal."""
    return marginals[..., 1:, 1:].mT + torch.diag_embed(marginals[..., 1:, 0])


@SIZES
@pytest.mark.parametrize("numbers", [SingleRoot(), Graded()], ids=["plain", "graded"])
def test_graphs_without_masks(numbers, n):
    params = torch.cat([normal(30, n, n), 20 * normal(30, n, n, number=1)])
    log_z, marginals, smallest = eliminate(to_root(params), numbers)
    want = enumerated(params, True)
    assert torch.allclose(log_z, want[0], rtol=1e-13, atol=1e-13)
    assert (in_place(marginals) - want[1]).abs().max() < 4e-14
    assert (smallest > SMALLEST).all() or isinstance(numbers, Graded)


@SIZES
@pytest.mark.parametrize("share", [0.3, 0.6])
def test_masks_that_decide_who_can_be_the_root(share, n):
    params = legal_masks(n, 50, True, share)
    log_z, marginals, _ = eliminate(to_root(params), Graded())
    want = enumerated(params, True)
    assert torch.allclose(log_z, want[0], rtol=1e-13, atol=1e-13)
    assert (in_place(marginals) - want[1]).abs().max() < 1e-13
    assert (in_place(marginals)[params == -INF] == 0).all()


@pytest.mark.parametrize("n", [2, 3, 4])
def test_changes_of_marginals(n):
    params, along = legal_masks(n, 20, True), normal(20, n, n, number=1)
    finite = torch.where(params == -INF, -1e4, params)
    want = torch.func.jvp(lambda x: enumerated(x, True)[1], (finite,), (along,))[1]
    change, _ = differentiate(to_root(params), to_root(along), Graded())
    assert (in_place(change) - want).abs().max() < 1e-12
    dense = normal(20, n, n)
    want = torch.func.jvp(lambda x: enumerated(x, True)[1], (dense,), (along,))[1]
    change, _ = differentiate(to_root(dense), to_root(along), SingleRoot())
    assert (in_place(change) - want).abs().max() < 1e-12


def test_what_plain_numbers_cannot_store_is_noticed():
    params = torch.zeros(3, 4, 4, dtype=torch.float64)
    params[0, :, 1] = -INF  # node 1 has to be the root
    params[0, 1, 1] = 0.0
    params[1, 0, 1:] -= 900.0  # node 0 can hardly leave the others, nor they node 0
    params[1, 1:, 0] -= 900.0
    params[2].fill_diagonal_(-800.0)  # roots have tiny weights, but all the same ones
    _, _, smallest = eliminate(to_root(params), SingleRoot())
    assert not (smallest > SMALLEST).any()
    log_z, marginals = log_partition(to_root(params), SINGLE_ROOT)
    want = enumerated(params, True)
    assert torch.allclose(log_z, want[0], rtol=1e-13)
    assert (in_place(marginals) - want[1]).abs().max() < 1e-12
