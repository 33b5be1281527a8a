"""The list of matchings, and what lies in each support."""

from __future__ import annotations

import math

import pytest
import torch
from permutation_helpers import close, listed

from relaxit_permutation.matrices import polytope


@pytest.mark.parametrize(
    ("m", "n"),
    [(1, 1), (1, 4), (2, 2), (2, 3), (3, 3), (3, 5), (4, 4), (5, 5), (5, 6)],
)
def test_list_of_matchings(m, n):
    found = polytope.matchings(m, n)
    assert torch.equal(found, listed(m, n))
    assert len(found.flatten(1).unique(dim=0)) == math.perm(n, m)
    close(found.mean(0), torch.full((m, n), 1 / n), 1e-7)


def test_constraints():
    square = torch.tensor([[[0.5, 0.5], [0.5, 0.5]], [[1, 0], [0, 1]], [[1, 0], [1, 0]]])
    assert polytope.bipartite.check(square).tolist() == [True, True, False]
    assert polytope.matching.check(square).tolist() == [False, True, False]
    wide = torch.tensor([[[0.5, 0.5, 0], [0, 0.2, 0.8]], [[0.5, 0.5, 0], [0.6, 0.2, 0.2]]])
    assert polytope.bipartite.check(wide).tolist() == [True, False]
    lack = torch.tensor([[0.5, 0.4, 0.0], [0.0, 0.2, 0.8]])
    assert not bool(polytope.bipartite.check(lack))
    for change, fine in ((5e-5, True), (3e-4, False)):
        off = torch.tensor([[change, -change], [0, 0]])
        assert bool(polytope.bipartite.check(square[0] + off)) == fine
    assert not bool(polytope.bipartite.check(torch.tensor([[1.1, -0.1], [-0.1, 1.1]])))
    assert not bool(polytope.bipartite.check(torch.full((2, 2), math.nan)))
    third = torch.full((3, 3), 1 / 3)
    assert bool(polytope.bipartite.check(third))
    short = torch.tensor([[-1.6e-4, 8e-5, 8e-5], [0, 0, 0], [0, 0, 0]])  # of one column's sum
    assert not bool(polytope.bipartite.check(third + short))
    assert polytope.matching.check(torch.tensor([[0.0, 1, 0], [0, 0, 1]])).item()
    assert not polytope.matching.check(torch.tensor([[0.0, 1, 0], [0, 0, 0]])).item()


def test_partial_matchings():
    values = torch.tensor(
        [
            [[0.5, 0.2], [0.3, 0.0], [0.2, 0.8]],  # columns of 1, rows of at most 1
            [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]],
            [[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]],
            [[0.0, 1.0], [0.0, 1.0], [0.0, 0.0]],
            [[0.7, 0.7], [0.0, 0.0], [0.0, 0.0]],
            [[-0.1, 0.5], [0.0, 0.0], [0.0, 0.0]],
        ]
    )
    assert polytope.partial.check(values).tolist() == [True, True, True, False, False, False]
    assert polytope.partial_matching.check(values).tolist() == [False, True, True, *[False] * 3]
    assert not bool(polytope.partial.check(torch.full((3, 2), math.nan)))
