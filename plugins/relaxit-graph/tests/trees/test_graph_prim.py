"""Best trees of a batch against networkx and scipy, with ties, masks and extreme scores."""

from __future__ import annotations

import pytest
import torch
from tree_oracles import INF, MASKS, even, normal, undirected

from relaxit_graph.trees.polytope import spanning_tree
from relaxit_graph.trees.prim import best_tree

nx = pytest.importorskip("networkx")


def as_graph(scores):
    graph = nx.Graph()
    graph.add_nodes_from(range(len(scores)))
    pairs = [(i, j) for i in range(len(scores)) for j in range(i) if scores[i, j] > -INF]
    graph.add_weighted_edges_from((i, j, float(scores[i, j])) for i, j in pairs)
    return graph


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [1, 2, 3, 8, 25])
def test_best_trees_are_those_of_networkx(n, dtype):
    scores = even(10 * normal(2, 5, n, n)).to(dtype)
    for tree, row in zip(best_tree(scores).flatten(0, 1), scores.flatten(0, 1), strict=True):
        want = nx.maximum_spanning_tree(as_graph(row)).edges
        got = {(i, j) for i, j in tree.nonzero().tolist() if i < j}
        assert got == {(min(edge), max(edge)) for edge in want}


def test_best_trees_are_those_of_scipy():
    csgraph = pytest.importorskip("scipy.sparse.csgraph")
    scores = even(normal(8, 30, 30))
    trees = best_tree(scores)
    costs = (10 - scores).numpy()  # positive: scipy takes zeros for absent edges
    for tree, cost in zip(trees, costs, strict=True):
        want = torch.from_numpy(csgraph.minimum_spanning_tree(cost).toarray() != 0)
        assert torch.equal(tree.bool(), want | want.mT)


def test_ties_give_a_tree_with_the_greatest_score():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(3, (50, 5, 5), generator=generator).double()
    scores = torch.maximum(scores, scores.mT)
    trees = best_tree(scores)
    assert spanning_tree.check(trees).all()
    best = torch.einsum("nij,bij->bn", undirected(5), scores).amax(-1)
    assert torch.equal((trees * scores).sum((-2, -1)), best)


@pytest.mark.parametrize("row", range(len(MASKS)))
def test_masked_edges_are_avoided(row):
    scores = even(normal(20, 5, 5)) + MASKS[row]
    trees = best_tree(scores)
    assert spanning_tree.check(trees).all()
    assert not trees[scores == -INF].any()


def test_scores_at_the_ends_of_the_range():
    scores = torch.full((4, 4), torch.finfo(torch.float32).max)
    scores[0, 1] = scores[1, 0] = torch.finfo(torch.float32).min
    for each in (scores, -scores, torch.zeros(4, 4), torch.full((4, 4), -INF)):
        assert spanning_tree.check(best_tree(each))


def test_transforms_compilers_and_export():
    scores = even(normal(6, 5, 5))
    want = best_tree(scores)
    assert torch.equal(torch.func.vmap(best_tree)(scores), want)
    compiled = torch.compile(best_tree, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(scores), want)

    class Best(torch.nn.Module):
        def forward(self, x):
            return best_tree(x)

    shapes = ({0: torch.export.Dim("rows")},)
    program = torch.export.export(Best(), (scores[:3],), dynamic_shapes=shapes).module()
    assert torch.equal(program(scores), want)


def test_scores_are_not_modified():
    scores = even(normal(2, 4, 4)) + MASKS[0][:4, :4]
    kept = scores.clone()
    best_tree(scores)
    assert torch.equal(scores, kept)
