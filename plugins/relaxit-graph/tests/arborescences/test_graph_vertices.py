"""Directed trees as matrices."""

from __future__ import annotations

import itertools

import pytest
import torch
from arborescence_oracles import ROOTS, trees

from relaxit_graph.arborescences.vertices import arborescence, arborescences, arcs_of


@ROOTS
@pytest.mark.parametrize("n", [1, 2, 3])
def test_among_all_matrices_of_zeros_and_ones(n, single):
    bits = list(itertools.product((0.0, 1.0), repeat=n * n))
    matrices = torch.tensor(bits, dtype=torch.float64).view(-1, n, n)
    found = matrices[arborescence(single).check(matrices)]
    assert torch.equal(found.unique(dim=0), trees(n, single))


@ROOTS
def test_listed_trees(single):
    for n, count in ((4, 64 if single else 125), (5, 625 if single else 1296)):
        listed = arborescences(n, single)
        assert len(listed) == count
        assert torch.equal(listed.unique(dim=0), trees(n, single))


def test_long_chains_and_long_cycles():
    n = 33
    chain = torch.tensor([n, *range(n - 1)])
    assert arborescence(True).check(arcs_of(chain, torch.float16))
    cycle = torch.tensor([n - 1, *range(n - 1)])
    assert not arborescence(False).check(arcs_of(cycle, torch.float32))
    soft = 0.5 * arcs_of(chain, torch.float32) + 0.5 * arcs_of(chain.flip(0), torch.float32)
    assert not arborescence(False).check(soft)
