"""The functions that sort, rank and select plain values."""

from __future__ import annotations

import pytest
import torch
from permutation_helpers import ALL_DTYPES, ROWS, close, normal, seed
from scipy.stats import rankdata
from torch import Tensor

from relaxit.dtypes import compute_dtype
from relaxit_permutation.matrices import polytope
from relaxit_permutation.plackett_luce.permutation_plackett_luce import PermutationPlackettLuce
from relaxit_permutation.sorting.ranking import hard_permutation, rank, soft_permutation, sort, topk

EVERY = pytest.mark.parametrize("relaxation", ["softsort", "neuralsort", "sinkhorn"])


@EVERY
@ALL_DTYPES
def test_helpers_become_the_hard_ones(relaxation, dtype):
    # Values one apart, shuffled; temperatures far below.
    x = torch.stack([torch.randperm(6, generator=seed(i)) for i in range(20)]).to(dtype)
    tau, small = 0.05, 4 * torch.finfo(dtype).eps + 1e-5
    hard = hard_permutation(x)
    close(soft_permutation(x, tau, relaxation), hard, small)
    close(hard @ x.unsqueeze(-1), x.sort(-1, descending=True).values.unsqueeze(-1), 0)
    for descending in (True, False):
        want = x.sort(-1, descending=descending).values
        close(sort(x, tau, relaxation, descending=descending), want, 6 * small)
        signed = -x if descending else x
        ranks = torch.tensor(rankdata(signed.double().numpy(), axis=-1))
        close(rank(x, tau, relaxation, descending=descending), ranks, 6 * small)
        best = topk(x, 2, tau, relaxation, largest=descending)
        close(best.values, x.topk(2, largest=descending).values, 6 * small)
        assert torch.equal(best.weights.argmax(-1), x.topk(2, largest=descending).indices)
        down = soft_permutation(x, tau, relaxation, descending=descending)
        close(down, hard_permutation(x, descending=descending), small)
    for found in (sort(x, tau, relaxation), soft_permutation(x, tau, relaxation), *best):
        assert found.dtype == dtype


@ROWS
@ALL_DTYPES
def test_ranks_are_held_by_their_dtype(relaxation, dtype):
    # bfloat16 has no integers between 256 and 258, float16 none between 2048 and 2050.
    n = 2100
    ranks = rank(torch.zeros(n, dtype=dtype), 1.0, relaxation)
    assert ranks.dtype == compute_dtype(dtype)
    close(ranks, torch.full((n,), (n + 1) / 2), 1e-2)
    x = torch.linspace(-100, 100, 400).to(dtype).unique()  # those that the dtype tells apart
    order = rank(x, 1e-3, relaxation, descending=False)
    close(order, torch.arange(1.0, len(x) + 1), 1e-3)


@ALL_DTYPES
def test_weights_of_sinkhorn_are_an_indicator(dtype):
    x = torch.cat([torch.tensor([[2.0, 1.0, 0.0, -10.0]]), 3 * normal(50, 4)]).to(dtype)
    rounding = 4 * torch.finfo(dtype).eps + 1e-4
    for k in range(1, 5):
        for tau in (0.05, 1.0, 5.0):
            inside = topk(x, k, tau, "sinkhorn").weights.double().sum(-2)
            assert float(inside.max()) <= 1 + rounding
            close(inside.sum(-1), torch.full((51,), float(k)), 4 * rounding)


@ROWS
def test_weights_of_the_others_are_none(relaxation):
    # As TopK says; should it become false, the docstring has to change.
    most = topk(torch.tensor([2.0, 1.0, 0.0, -10.0]), 3, 1.0, relaxation).weights.sum(-2).max()
    close(most, torch.tensor(1.0661 if relaxation == "softsort" else 1.1075), 1e-3)


@EVERY
@pytest.mark.parametrize("batch", [(), (3,), (2, 0), (2, 3)])
def test_helpers_are_made_of_the_soft_matrix(relaxation, batch):
    x = normal(*batch, 5)
    p = soft_permutation(x, 0.7, relaxation)
    assert p.shape == (*batch, 5, 5)
    close(sort(x, 0.7, relaxation), torch.einsum("...ij,...j->...i", p, x), 1e-13)
    ranks = torch.einsum("...ij,i->...j", p, torch.arange(1.0, 6.0).double()) / p.sum(-2)
    close(rank(x, 0.7, relaxation), ranks, 1e-13)
    for k in range(1, 6):
        best = topk(x, k, 0.7, relaxation)
        close(best.weights, p[..., :k, :], 1e-14)
        close(best.values, sort(x, 0.7, relaxation)[..., :k], 1e-13)


@ROWS
def test_soft_permutation_is_the_relaxation_without_noise(relaxation):
    x = normal(4, 6)
    structure = PermutationPlackettLuce(n=6, relaxation=relaxation)
    assert torch.equal(soft_permutation(x, 0.4, relaxation), structure.relax(x, 0.4))
    assert bool(polytope.row_stochastic.check(soft_permutation(x.half(), 0.4, relaxation)).all())


def test_sinkhorn_preserves_sums():
    x = normal(20, 6)
    p = soft_permutation(x, 0.5, "sinkhorn")
    assert bool(polytope.bipartite.check(p).all())
    close(sort(x, 0.5, "sinkhorn").sum(-1), x.sum(-1), 1e-2)
    close(rank(x, 0.5, "sinkhorn").sum(-1), torch.full((20,), 21.0), 1e-2)
    close(soft_permutation(x + 100, 0.5, "sinkhorn"), p, 1e-6)
    close(soft_permutation(4 * x, 2.0, "sinkhorn"), p, 1e-6)


@EVERY
@pytest.mark.parametrize("temperature", [0.05, 0.5, 5.0])
def test_of_two_values_all_are_a_sigmoid(relaxation, temperature):
    x = normal(20, 2)
    p = soft_permutation(x, temperature, relaxation)
    first = ((x[:, 0] - x[:, 1]) / temperature).sigmoid()
    want = torch.stack([first, 1 - first, 1 - first, first], -1).view(20, 2, 2)
    close(p, want, 1e-5)


@EVERY
def test_ties_share_their_ranks(relaxation):
    x = torch.tensor([1.0, 0.0, 1.0, 5.0]).double()
    p = soft_permutation(x, 0.01, relaxation)
    want = [[0, 0, 0, 1], [0.5, 0, 0.5, 0], [0.5, 0, 0.5, 0], [0, 1, 0, 0]]
    close(p, torch.tensor(want), 1e-4)
    close(rank(x, 0.01, relaxation), torch.tensor([2.5, 4, 2.5, 1]), 1e-3)
    close(sort(x, 0.01, relaxation), torch.tensor([5.0, 1, 1, 0]), 1e-3)
    assert hard_permutation(x).argmax(-1).tolist() == [3, 0, 2, 1]


@EVERY
def test_helpers_have_gradients(relaxation):
    x = normal(2, 4).requires_grad_()
    functions = [
        lambda v: sort(v, 0.8, relaxation),
        lambda v: rank(v, 0.8, relaxation),
        lambda v: topk(v, 2, 0.8, relaxation).values,
        lambda v: sort(v, 0.8, relaxation, descending=False),
    ]
    for function in functions:
        assert torch.autograd.gradcheck(function, x, atol=1e-4, rtol=1e-3)
    tied = torch.tensor([1.0, 1.0, 0.0, 0.0], requires_grad=True)
    (slope,) = torch.autograd.grad(rank(tied, 0.5, relaxation)[0], tied)
    assert bool(slope.isfinite().all())
    # The first becomes better in rank (a smaller number) with a greater value.
    apart = torch.tensor([1.0, 1.2, 0.0, -1.0], requires_grad=True)
    (slope,) = torch.autograd.grad(rank(apart, 0.5, relaxation)[0], apart)
    assert float(slope[0]) < 0 < float(slope[1])
    assert not hard_permutation(x).requires_grad


@ROWS
def test_helpers_in_batches(relaxation):
    x = normal(3, 5)

    def every(v: Tensor) -> Tensor:
        best = topk(v, 2, 0.5, relaxation)
        flat = [best.values, best.weights.flatten(), hard_permutation(v).flatten()]
        return torch.cat([sort(v, 0.5, relaxation), rank(v, 0.5, relaxation), *flat])

    close(torch.func.vmap(every)(x), torch.stack([every(row) for row in x]), 1e-14)
    tau = torch.tensor([0.2, 1.0, 3.0])
    got = sort(x, tau, relaxation)
    want = [sort(row, float(t), relaxation) for row, t in zip(x, tau, strict=True)]
    close(got, torch.stack(want), 1e-6)
    close(sort(x, torch.tensor(0.5), relaxation), sort(x, 0.5, relaxation), 1e-7)


def test_topk_of_many_values():
    # Two rows of 200 000, which as a matrix would take 300 GB.
    x = torch.randn(200_000, generator=seed(1))
    for relaxation in ("softsort", "neuralsort"):
        best = topk(x, 2, 1e-6, relaxation)
        close(best.values, x.topk(2).values, 1e-5)
        assert torch.equal(best.weights.argmax(-1), x.topk(2).indices)


@pytest.mark.slow
@ROWS
def test_helpers_compile(relaxation):
    def every(v: Tensor, tau: Tensor) -> Tensor:
        return sort(v, tau, relaxation).sum() + (rank(v, tau, relaxation) * v).sum()

    torch._dynamo.reset()
    compiled = torch.compile(every, fullgraph=True, backend="aot_eager")
    x, tau = normal(3, 5), torch.tensor(0.5)
    close(compiled(x, tau), every(x, tau), 1e-12)
