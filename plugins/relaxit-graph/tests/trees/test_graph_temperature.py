"""Scores that range over more than floats can tell apart, by themselves or over a temperature."""

from __future__ import annotations

import pytest
import torch
from tree_oracles import INF, MASKS, even, normal

from relaxit import DomainError
from relaxit_graph.arborescences.arborescence import Arborescence
from relaxit_graph.trees.spanning_tree import SpanningTree

STRUCTURES = pytest.mark.parametrize(
    "trees",
    [SpanningTree(nodes=5), Arborescence(nodes=5), Arborescence(nodes=5, roots="multiple")],
    ids=repr,
)


def with_finite_masks(row: int, low: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores with excluded edges, and the same with finite scores for these."""
    scores = (2 * even(normal(3, 5, 5)) + MASKS[row]).float()
    return scores, scores.masked_fill(scores == -INF, low)


@STRUCTURES
@pytest.mark.parametrize("low", [-1e6, -1e9, -1e30, torch.finfo(torch.float32).min])
@pytest.mark.parametrize("temperature", [1e-3, 0.5, 10.0])
def test_a_very_low_score_excludes_an_edge(trees, low, temperature):
    away = 0.0  # from trees
    for row in range(len(MASKS)):
        excluded, finite = with_finite_masks(row, low)
        want = trees.relax(excluded, temperature)
        torch.testing.assert_close(trees.relax(finite, temperature), want, rtol=0, atol=1e-6)
        away = max(away, float((want - trees.argmax(excluded)).abs().amax()))
    assert away > 0.1 or temperature < 0.5


@STRUCTURES
def test_transforms_and_compilers_agree(trees):
    def soft(scores, temperature):
        return trees.relax(scores, temperature)

    _, finite = with_finite_masks(0, -1e9)
    scores = torch.stack([finite, normal(3, 5, 5).float(), 1e9 * normal(3, 5, 5).float()])
    temperature = torch.tensor([[[0.5]], [[0.1]], [[2.0]]])
    want = soft(scores, temperature)
    of_rows = torch.func.vmap(soft, (1, 0), 1)(scores, temperature)
    torch.testing.assert_close(of_rows, want, rtol=0, atol=1e-6)
    compiled = torch.compile(soft, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(scores, temperature), want, rtol=0, atol=1e-6)


@STRUCTURES
@pytest.mark.parametrize("temperature", [1e-300, 1e-8, 0.5])
def test_gradients_are_finite_and_those_of_what_is_left(trees, temperature):
    # Edges to node 0 tie, so the temperature need not be raised for the others.
    scores = -1e9 * torch.ones(5, 5, dtype=torch.float64)
    scores[0] = scores[:, 0] = 0.0
    scores[1, 2] = scores[2, 1] = -0.3 * temperature
    slopes = []
    for low in (-1e9, -INF):
        x = scores.masked_fill(scores == -1e9, low).requires_grad_()
        t = torch.tensor(temperature, dtype=torch.float64, requires_grad=True)
        soft = trees.relax(x, t)
        slopes.append(torch.autograd.grad((soft * normal(5, 5)).sum(), (x, t)))
    for got, want in zip(*slopes, strict=True):
        assert got.isfinite().all()
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-12)
        assert want.any()


@STRUCTURES
def test_low_edges_that_every_tree_needs_are_taken(trees):
    # Two groups of nodes, joined by edges of -1e9, of which the best is 2 - 3.
    scores = torch.full((5, 5), -2e9)
    scores[:3, :3] = scores[3:, 3:] = 1.0
    scores[2, 3] = scores[3, 2] = -1e9
    scores.fill_diagonal_(-2e9)[0, 0] = 0.0  # node 0 is the root
    soft = trees.relax(scores, 0.5)
    assert soft[2, 3] == pytest.approx(1.0)
    assert not soft[:2, 3:].any()
    assert soft.sum() == pytest.approx(float(trees.argmax(scores).sum()))


@STRUCTURES
@pytest.mark.parametrize("size", [1e13, 1e20, 1e38])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_needed_scores_too_far_below_the_others_are_rejected(trees, dtype, size):
    excluded, finite = (x.to(dtype) for x in with_finite_masks(0, -size))
    assert torch.equal(trees(finite).discrete.mean, trees(excluded).discrete.mean)
    # Groups 0, 1, 2 and 3, 4 with the only root 0: every tree has an edge from one to the other.
    apart = finite.clone()
    apart[:, :3, 3:] = apart[:, 3:, :3] = -size
    apart.diagonal(dim1=-2, dim2=-1)[:, 1:] = -size
    assert not trees.valid_params(apart).any()
    with pytest.raises(DomainError, match="1e12 below the greatest"):
        trees(apart)
    assert trees.valid_params(apart.clamp_min(-1e11)).all()


@STRUCTURES
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_the_level_of_scores_does_not_matter(trees, dtype):
    for level in (-6e4, 6e4, *(() if dtype == torch.float16 else (-1e30, 1e30))):
        q = trees(torch.full((5, 5), level, dtype=dtype)).discrete
        want = trees(torch.zeros(5, 5, dtype=dtype)).discrete
        torch.testing.assert_close(q.mean, want.mean)
        torch.testing.assert_close(
            q.log_prob(want.mode), want.log_prob(want.mode), rtol=1e-5, atol=0
        )
