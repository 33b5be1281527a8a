"""Sinkhorn's operator at the ends of the range: the limits, and finite gradients."""

from __future__ import annotations

import pytest
import torch
from permutation_extremes import COLD, HOT, checked, numbers
from permutation_helpers import INF, best, close, dtypes, gumbel, normal, totals, unrolled

import relaxit
from relaxit_permutation.sinkhorn.operator import sinkhorn

pytestmark = pytest.mark.usefixtures("all_converge")


def largest(dtype):
    return 3e38 if dtype == torch.float32 else 1e308


@dtypes
@pytest.mark.parametrize("shape", [(3, 4, 4), (3, 3, 5), (2, 1, 1)], ids=str)
def test_cold_is_the_best_matching(shape, dtype):
    one = normal(*shape).tanh()
    for size in (1.0, 1e30, largest(dtype)):
        for temperature in numbers(COLD, dtype):
            p = checked(sinkhorn, (one * size).to(dtype), temperature)
            close(p, best(one), 1e-6, what=f"{size}, {temperature}")


@dtypes
@pytest.mark.parametrize("size", [1e30, 3e38])
def test_great_scores_at_any_temperature(size, dtype):
    one = normal(4, 5, 5).tanh()
    for temperature in numbers([0.1, 1.0, 10.0], dtype):
        close(checked(sinkhorn, (one * size).to(dtype), temperature), best(one), 1e-6)


@dtypes
@pytest.mark.parametrize("shape", [(3, 4, 4), (2, 3, 5)], ids=str)
def test_hot_is_uniform(shape, dtype):
    for temperature in numbers(HOT, dtype):
        p = checked(sinkhorn, normal(*shape).to(dtype), temperature)
        close(p, torch.full(shape, 1 / shape[-1]), 1e-6)
    x = (3e38 * normal(*shape).sign()).to(dtype)
    close(checked(sinkhorn, x, 1e300), torch.full(shape, 1 / shape[-1]), 1e-6)


@dtypes
def test_ties_are_shared(dtype):
    # The first two columns are alike, and only they.
    one = normal(3, 5, 5)
    one[..., 1] = one[..., 0]
    for temperature in COLD:
        p = checked(sinkhorn, one.to(dtype), temperature)
        want = best(one)
        want[..., :2] = want[..., :2].mean(-1, keepdim=True)
        close(p, want, 1e-6)


def test_a_cycle_of_ties_between_columns_that_differ():
    # Two best matchings, and entries on no best one that are as good as theirs by their row.
    x = torch.tensor([[2.0, 1.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    assert sorted(totals(x).tolist())[-4:] == [2.0, 2.0, 2.0, 2.0]
    close(sinkhorn(x, 1e-30), unrolled(x.double() / 0.01, 20000), 1e-4)


@dtypes
def test_masks_and_differences_of_all_sizes(dtype):
    # A finite mask is as good as an infinite one; what is left is an ordinary problem.
    x = gumbel(3, 5, 5)
    there = torch.eye(5).bool() | torch.eye(5).roll(1, 0).bool() | (normal(5, 5) > 0.5)
    want = sinkhorn(x.masked_fill(~there, -INF), 0.3)
    for mask in (-1e30, -3e38):
        close(checked(sinkhorn, x.masked_fill(~there, mask).to(dtype), 0.3), want, 1e-4)
    # Scores and temperature that are small alike.
    close(checked(sinkhorn, (x * 1e-20).to(dtype), 1e-20), sinkhorn(x, 1.0), 1e-4)
    close(checked(sinkhorn, (x * 1e-20).to(dtype), 1e-21), sinkhorn(x, 0.1), 1e-4)


@dtypes
@pytest.mark.parametrize("name", ["permutation", "matching"])
def test_structures(name, dtype):
    square = name == "permutation"
    structure = relaxit.get(name, **({"n": 4} if square else {"rows": 3, "columns": 5}))
    shape = structure.event_shape
    for size in (1.0, 1e30, 3e38):
        params = (normal(*shape).tanh() * size).to(dtype)
        for temperature in COLD:
            leaf = params.clone().requires_grad_()
            soft, hard = structure(leaf, temperature).draw((5,))
            close(soft, hard, 1e-4)
            assert torch.equal(structure.hard(soft), hard)
            soft.sum().backward()
            assert bool(leaf.grad.isfinite().all())
        leaf = params.clone().requires_grad_()
        kl = structure.kl_to_uniform(leaf)
        assert 0 <= float(kl.detach()) <= structure.log_cardinality * 1.001
        kl.backward()
        assert bool(leaf.grad.isfinite().all())


def test_compiled_in_the_cold():
    torch._dynamo.reset()
    compiled = torch.compile(lambda x, t: sinkhorn(x, t), backend="aot_eager", fullgraph=True)
    x = normal(3, 4, 4)
    for dtype in (torch.float32, torch.float64):
        for t in (1e-30, 1e-300):
            close(checked(compiled, x.to(dtype), t), best(x), 1e-6)
