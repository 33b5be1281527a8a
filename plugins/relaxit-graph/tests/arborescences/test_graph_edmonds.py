"""The best directed tree against enumeration and networkx, in all modes of execution."""

from __future__ import annotations

import pytest
import torch
from arborescence_oracles import (
    INF,
    ROOTS,
    best_by_networkx,
    legal_masks,
    normal,
    seed,
    totals,
    trees,
)

from relaxit_graph.arborescences.edmonds import maximum_arborescence
from relaxit_graph.arborescences.vertices import arcs_of

KINDS = ("normal", "integers", "equal", "masked", "sparse", "long cycles")


def params_of(kind, n, single, count=400):
    if kind == "integers":  # many ties
        return torch.randint(-2, 3, (count, n, n), generator=seed(n)).double()
    if kind == "equal":
        return torch.zeros(count, n, n, dtype=torch.float64)
    if kind in ("masked", "sparse"):
        return legal_masks(n, count, single, 0.3 if kind == "masked" else 0.6)
    params = normal(count, n, n, number=n)
    if kind == "long cycles":  # the best arcs are a cycle through all nodes
        step = torch.eye(n, dtype=torch.float64).roll(1, 0)
        params = params + 20 * step - 20 * torch.eye(n, dtype=torch.float64)
    return params


def best(params, single):
    roots = params.diagonal(dim1=-2, dim2=-1)
    return maximum_arborescence(params, roots, single)


@ROOTS
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_no_tree_is_better(kind, n, single):
    params = params_of(kind, n, single)
    got = arcs_of(best(params, single), torch.float64)
    values = trees(n, single)
    assert (got.unsqueeze(1) == values).flatten(2).all(-1).any(-1).all()
    want = totals(params, values).amax(-1)
    assert torch.allclose(totals(params, got.unsqueeze(1)).squeeze(-1), want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", [2, 6, 12, 25])
@pytest.mark.parametrize("kind", ["normal", "integers", "long cycles", "masked"])
def test_the_same_sum_as_networkx(kind, n):
    if kind == "masked":
        params = normal(8, n, n)
        params = params.masked_fill(torch.rand(params.shape, generator=seed(1)) < 0.4, -INF)
        roots = torch.full((n,), -30.0, dtype=torch.float64)  # so that there is a tree
        params = params.diagonal_scatter(roots.expand(8, n), dim1=-2, dim2=-1)
    else:
        params = params_of(kind, n, False, 8)
    got = totals(params, arcs_of(best(params, False), torch.float64).unsqueeze(1)).squeeze(-1)
    want = torch.tensor([best_by_networkx(one) for one in params], dtype=torch.float64)
    assert torch.allclose(got, want, rtol=0, atol=1e-9)


@pytest.mark.parametrize("n", [7, 20])
def test_a_single_root_is_the_best_of_all_roots(n):
    params = normal(4, n, n)
    own = torch.eye(n, dtype=torch.bool)
    of_root = [params.masked_fill(own ^ (own & own[:, k]), -INF) for k in range(n)]
    single = [totals(x, arcs_of(best(x, False), x.dtype).unsqueeze(1)) for x in of_root]
    got = totals(params, arcs_of(best(params, True), params.dtype).unsqueeze(1))
    assert torch.allclose(got, torch.stack(single).amax(0), rtol=0, atol=1e-12)


def test_float16_scores_are_summed_exactly():
    # 2048 + 1 is 2048 in float16.
    scores = torch.tensor([[0.0, 2048.0, 0.0], [2048.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    roots = torch.tensor([1.0, 0.0, 0.0])
    heads = maximum_arborescence(scores.half(), roots.half(), single_root=True)
    assert heads[:2].tolist() == [3, 0]


def test_scores_without_a_tree_give_indices():
    params = torch.full((2, 4, 4), -INF)
    for single in (True, False):
        heads = best(params, single)
        assert ((heads >= 0) & (heads <= 4)).all()


@ROOTS
def test_batches_of_any_shape(single):
    params = normal(2, 3, 6, 6)
    heads = best(params, single)
    flat = best(params.flatten(0, 1), single).view(2, 3, 6)
    assert torch.equal(heads, flat)
    assert torch.equal(torch.vmap(torch.vmap(lambda x: best(x, single)))(params), heads)
    assert torch.equal(torch.vmap(lambda x: best(x, single), 1, 1)(params), heads)
    assert best(params[:0], single).shape == (0, 3, 6)


@ROOTS
def test_compiled_and_exported_for_any_batch(single):
    def heads(x):
        return best(x, single)

    torch._dynamo.reset()
    graph = torch.compile(heads, fullgraph=True, backend="aot_eager", dynamic=True)
    exported = torch.export.export(
        _Module(heads), (normal(5, 6, 6),), dynamic_shapes=({0: torch.export.Dim.AUTO},)
    ).module()
    for count in (5, 9, 17):
        params = normal(count, 6, 6, number=count)
        assert torch.equal(graph(params), heads(params))
        assert torch.equal(exported(params), heads(params))


class _Module(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)
