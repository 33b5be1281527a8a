"""Padded lists: every function gives what it gives for the lists without pads, one by one."""

from __future__ import annotations

import pytest
import torch
from permutation_helpers import ALL_DTYPES, INF, close, normal, seed
from torch import Tensor

import relaxit
from relaxit_permutation.sorting.ranking import hard_permutation, rank, soft_permutation, sort, topk

EVERY = pytest.mark.parametrize("relaxation", ["softsort", "neuralsort", "sinkhorn"])
DIRECTIONS = pytest.mark.parametrize("descending", [True, False])
N = 6
MASKS = torch.tensor(
    [
        [1, 1, 1, 1, 1, 1],
        [1, 1, 1, 1, 0, 0],
        [0, 0, 1, 1, 1, 1],
        [1, 0, 1, 0, 0, 1],
        [0, 0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0, 0],
    ]
).bool()
"""Pads behind, in front, in between; one item, and none."""


def rows(dtype: torch.dtype = torch.float64) -> Tensor:
    return (3 * normal(len(MASKS), N)).to(dtype)


def small(dtype: torch.dtype, relaxation: str) -> float:
    """Rounding, and what the iteration leaves of the sums."""
    return 4 * torch.finfo(dtype).eps + (1e-4 if relaxation == "sinkhorn" else 1e-6)


def padded(found: Tensor, mask: Tensor, last: Tensor | float) -> Tensor:
    """What is found for the items at their places, with pads behind."""
    whole = torch.full((N,), 0.0, dtype=found.dtype)
    whole[mask] = found
    whole[~mask] = torch.as_tensor(last, dtype=found.dtype)
    return whole


def whole_matrix(found: Tensor, mask: Tensor) -> Tensor:
    """The matrix of the items, and pads in the order of their index."""
    count = int(mask.sum())
    whole = torch.zeros(N, N, dtype=found.dtype)
    whole[:count, mask] = found
    whole[range(count, N), (~mask).nonzero().squeeze(-1)] = 1.0
    return whole


@EVERY
@ALL_DTYPES
@DIRECTIONS
def test_pads_take_no_part(relaxation, dtype, descending):
    x, tau = rows(dtype), 0.6
    given = {"relaxation": relaxation, "mask": MASKS, "descending": descending}
    p = soft_permutation(x, tau, **given)
    hard = hard_permutation(x, descending=descending, mask=MASKS)
    ranks, ordered = rank(x, tau, **given), sort(x, tau, **given)
    best = topk(x, 3, tau, relaxation, largest=descending, mask=MASKS)
    off, last = small(dtype, relaxation), -INF if descending else INF
    for i, mask in enumerate(MASKS):
        items, count = x[i, mask], int(mask.sum())
        expected = torch.arange(count + 1, N + 1).to(ranks.dtype)
        if not count:
            close(p[i], torch.eye(N), 0)
            close(ranks[i], expected, 0)
            assert ordered[i].tolist() == [last] * N
            continue
        alone = {"relaxation": relaxation, "descending": descending}
        close(p[i], whole_matrix(soft_permutation(items, tau, **alone), mask), off)
        close(hard[i], whole_matrix(hard_permutation(items, descending=descending), mask), 0)
        close(ranks[i], padded(rank(items, tau, **alone), mask, expected), 20 * off)
        close(ordered[i, :count], sort(items, tau, **alone), 20 * off)
        assert ordered[i, count:].tolist() == [last] * (N - count)
        k = min(3, count)
        want = topk(items, k, tau, relaxation, largest=descending)
        close(best.values[i, :k], want.values, 20 * off)
        close(best.weights[i, :k][:, mask], want.weights, off)
        assert best.values[i, k:].tolist() == [last] * (3 - k)
        assert not best.weights[i, k:].any()
        assert not best.weights[i][:, ~mask].any()


@EVERY
@pytest.mark.parametrize("temperature", [1e-30, 1e-3, 1.0, 1e3, 1e30])
@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e8])
def test_at_any_scale(relaxation, temperature, scale):
    for dtype in (torch.float32, torch.float64):
        x = (scale * normal(3, N)).to(dtype)
        mask = MASKS[1:4]
        p = soft_permutation(x, temperature * scale, relaxation, mask=mask)
        assert bool(p.isfinite().all())
        for i in range(3):
            alone = soft_permutation(x[i, mask[i]], temperature * scale, relaxation)
            close(p[i], whole_matrix(alone, mask[i]), 1e-4)


@EVERY
def test_minus_infinity_is_a_pad(relaxation):
    x = rows()
    filled = x.masked_fill(~MASKS, -INF)
    for function in (sort, rank, soft_permutation):
        assert torch.equal(
            function(filled, 0.5, relaxation), function(x, 0.5, relaxation, mask=MASKS)
        )
    assert torch.equal(hard_permutation(filled), hard_permutation(x, mask=MASKS))
    # What stands at a pad does not matter.
    for anything in (torch.nan, INF, 1e9):
        given = x.masked_fill(~MASKS, anything)
        close(rank(given, 0.5, relaxation, mask=MASKS), rank(filled, 0.5, relaxation), 0)
    close(rank(torch.tensor([1.5, 0.3, -INF]), 0.5)[:2], rank(torch.tensor([1.5, 0.3]), 0.5), 0)


@EVERY
@DIRECTIONS
def test_gradients_are_those_without_pads(relaxation, descending):
    x = rows().requires_grad_()
    tau = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    weights = normal(N, number=3)

    def losses(values: Tensor, mask: Tensor | None) -> Tensor:
        given = {"relaxation": relaxation, "descending": descending, "mask": mask}
        ordered = sort(values, tau, **given)
        best = topk(values, 1, tau, relaxation, largest=descending, mask=mask)
        count = values.shape[-1]
        total = ordered.masked_fill(ordered.isinf(), 0.0) * weights[:count]
        ranked = rank(values, tau, **given).square()
        ranked = ranked if mask is None else ranked.masked_fill(~mask, 0.0)
        first = best.values.masked_fill(best.values.isinf(), 0.0)
        return total.sum(-1) + ranked.sum(-1) + first.sum(-1)

    got = torch.autograd.grad(losses(x, MASKS).sum(), (x, tau))
    want, of_tau = torch.zeros_like(x), torch.zeros_like(tau)
    for i, mask in enumerate(MASKS[:-1]):
        row = x[i, mask].detach().requires_grad_()
        slopes = torch.autograd.grad(losses(row, None), (row, tau), allow_unused=True)
        want[i, mask] += slopes[0]
        of_tau += slopes[1] if slopes[1] is not None else 0.0
    close(got[0], want, 1e-9)
    close(got[1], of_tau, 1e-7, 1e-7)


@EVERY
@pytest.mark.parametrize("dim", [0, 1, 2, -1, -2])
def test_any_dimension(relaxation, dim):
    x = normal(3, 4, 5)
    mask = torch.rand(x.shape, generator=seed(5)) < 0.7
    last = x.movedim(dim, -1), mask.movedim(dim, -1)
    tau = torch.linspace(0.5, 1.0, x.numel() // x.shape[dim]).double().view(last[0].shape[:-1])
    for given, moved in ((mask, last[1]), (None, None)):
        for function in (sort, rank):
            got = function(x, tau, relaxation, dim=dim, mask=given)
            assert got.shape == x.shape
            close(got.movedim(dim, -1), function(last[0], tau, relaxation, mask=moved), 0)
        got = soft_permutation(x, tau, relaxation, dim=dim, mask=given)
        close(got, soft_permutation(last[0], tau, relaxation, mask=moved), 0)
        close(hard_permutation(x, dim=dim, mask=given), hard_permutation(last[0], mask=moved), 0)
        best = topk(x, 2, tau, relaxation, dim=dim, mask=given)
        want = topk(last[0], 2, tau, relaxation, mask=moved)
        close(best.values.movedim(dim, -1), want.values, 0)
        close(best.weights, want.weights, 0)


@EVERY
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_a_temperature_with_size_1_in_the_dimension(relaxation, dim):
    x = normal(3, 4, 5)
    tau = normal(*(1 if i == dim % 3 else n for i, n in enumerate(x.shape)), number=2).exp()
    for function in (sort, rank, soft_permutation, lambda v, *a, **b: topk(v, 2, *a, **b).values):
        found = function(x, tau, relaxation, dim=dim)
        close(found, function(x, tau.squeeze(dim), relaxation, dim=dim), 0)


def test_a_large_offset_of_padded_values():
    x, m = 1e5 + normal(20, dtype=torch.float32), 15
    found = rank(x, 1.0, "sinkhorn", mask=torch.arange(20) < m)
    close(found[:m], rank(x[:m].double(), 1.0, "sinkhorn"), 1e-3)


@EVERY
def test_a_mask_broadcasts(relaxation):
    x = normal(3, 4, N)
    mask = MASKS[3]
    close(
        rank(x, 0.5, relaxation, mask=mask), rank(x, 0.5, relaxation, mask=mask.expand(3, 4, N)), 0
    )
    turned = rank(x.mT, 0.5, relaxation, mask=mask.unsqueeze(-1), dim=-2)
    close(turned.mT, rank(x, 0.5, relaxation, mask=mask), 0)


@EVERY
def test_under_vmap(relaxation):
    x = rows()

    def every(v: Tensor, mask: Tensor) -> Tensor:
        found = [f(v, 0.5, relaxation, mask=mask) for f in (sort, rank)]
        return torch.cat([*found, hard_permutation(v, mask=mask).flatten()])

    mapped = torch.func.vmap(every)(x, MASKS)
    close(mapped, torch.stack([every(*row) for row in zip(x, MASKS, strict=True)]), 1e-13)


@pytest.mark.slow
def test_compiled():
    def every(v: Tensor, mask: Tensor) -> Tensor:
        found = [f(v, 0.5, "softsort", mask=mask) for f in (sort, rank)]
        return torch.cat([*found, soft_permutation(v, 0.5, "sinkhorn", mask=mask).flatten(1)], -1)

    torch._dynamo.reset()
    compiled = torch.compile(every, fullgraph=True, backend="aot_eager")
    close(compiled(rows(), MASKS), every(rows(), MASKS), 1e-12)


def test_by_the_name_of_the_job():
    x = rows()
    for function in (sort, rank, topk, soft_permutation, hard_permutation):
        assert getattr(relaxit.functional, function.__name__) is function
    close(relaxit.functional.rank(x, 0.5, mask=MASKS), rank(x, 0.5, mask=MASKS), 0)
