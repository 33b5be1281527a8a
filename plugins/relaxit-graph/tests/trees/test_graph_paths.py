"""Paths and connectivity against networkx."""

from __future__ import annotations

import pytest
import torch

from relaxit_graph.trees.paths import connected, paths

nx = pytest.importorskip("networkx")


def graphs(n: int, share: float) -> torch.Tensor:
    return torch.rand(100, n, n, generator=torch.Generator().manual_seed(n)) < share


@pytest.mark.parametrize(("n", "share"), [(1, 0.5), (2, 0.5), (5, 0.3), (6, 0.2), (17, 0.07)])
def test_paths_are_those_of_networkx(n, share):
    allowed = graphs(n, share)
    for row, got in zip(allowed, paths(allowed), strict=True):
        graph = nx.from_numpy_array(row.int().numpy(), create_using=nx.DiGraph)
        want = torch.zeros(n, n, dtype=torch.bool)
        for start in range(n):
            want[start, list(nx.descendants(graph, start) | {start})] = True
        assert torch.equal(got, want)
        both = row | row.mT
        assert bool(connected(both)) == nx.is_connected(nx.from_numpy_array(both.int().numpy()))


@pytest.mark.parametrize("n", [2, 3, 4, 5, 9, 16, 17, 33])
def test_the_longest_path(n):
    chain = torch.eye(n, dtype=torch.bool).roll(1, 1)
    chain[-1] = False
    assert torch.equal(paths(chain), torch.ones(n, n).triu().bool())
    assert connected(chain | chain.mT)
    chain[n // 2 - 1, n // 2] = False
    assert not connected(chain | chain.mT)
