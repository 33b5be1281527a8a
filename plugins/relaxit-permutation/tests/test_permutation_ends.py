"""Temperatures and scores up to the ends of their dtype: the limits, and finite gradients."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
import torch._dynamo.testing
from permutation_helpers import INF, best, close, gumbel, normal, totals, unrolled

import relaxit
from relaxit_permutation.sinkhorn.operator import SinkhornWarning, sinkhorn
from relaxit_permutation.sinkhorn.reduced import reduced, shifts
from relaxit_permutation.sorting.neuralsort import neuralsort
from relaxit_permutation.sorting.ranking import hard_permutation, rank, soft_permutation, sort, topk
from relaxit_permutation.sorting.softsort import softsort

COLD = [1e-10, 1e-30, 1e-45, 1e-300, 1e-320]
HOT = [1e30, 1e38, 1e39, 1e300]
dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
kinds = pytest.mark.parametrize("kind", ["softsort", "neuralsort", "sinkhorn"])


@pytest.fixture(autouse=True)
def strict():
    """A matrix that does not converge is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", SinkhornWarning)
        yield


def numbers(values, dtype):
    """Temperatures as floats and, where the dtype has them, as tensors that learn."""
    for value in values:
        yield value
        tensor = torch.tensor(value, dtype=dtype)
        if 0 < float(tensor) < INF:
            yield tensor.requires_grad_()


def checked(function, x, temperature):
    """The value, after a look at the gradients."""
    leaf = x.clone().requires_grad_()
    value = function(leaf, temperature)
    leaves = [leaf, temperature] if isinstance(temperature, torch.Tensor) else [leaf]
    for found in torch.autograd.grad(value, leaves, normal(*value.shape).to(value)):
        assert bool(found.isfinite().all()), temperature
    return value


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


@kinds
@dtypes
def test_sorting_in_the_cold(kind, dtype):
    one = normal(3, 6).tanh()
    for size in (1.0, 1e30, 1e38):
        x = (one * size).to(dtype)
        for temperature in numbers(COLD, dtype):
            p = checked(lambda x, t: soft_permutation(x, t, kind), x, temperature)
            close(p, hard_permutation(x), 1e-6)
            close(checked(lambda x, t: rank(x, t, kind), x, temperature), rank(one, 1e-8), 1e-5)
            want = x.sort(dim=-1, descending=True).values
            close(checked(lambda x, t: sort(x, t, kind), x, temperature), want, 0, 1e-6)
            got = checked(lambda x, t: topk(x, 2, t, kind).values, x, temperature)
            close(got, want[:, :2], 0, 1e-6)


@kinds
@dtypes
def test_sorting_in_the_heat(kind, dtype):
    x = normal(3, 6).to(dtype)
    for temperature in numbers(HOT, dtype):
        p = checked(lambda x, t: soft_permutation(x, t, kind), x, temperature)
        close(p, torch.full((3, 6, 6), 1 / 6), 1e-6)


@kinds
@dtypes
def test_sorting_ties_in_the_cold(kind, dtype):
    x = torch.tensor([1.0, 0.0, 1.0, -2.0], dtype=dtype)
    want = torch.tensor([[1.0, 0, 1, 0], [1, 0, 1, 0], [0, 2, 0, 0], [0, 0, 0, 2]]) / 2
    for temperature in numbers(COLD, dtype):
        close(checked(lambda x, t: soft_permutation(x, t, kind), x, temperature), want, 1e-6)


@pytest.mark.parametrize("matrix", [softsort, neuralsort])
@pytest.mark.parametrize(("dtype", "value"), [(torch.float32, 1e-25), (torch.float64, 1e-200)])
def test_a_temperature_that_learns_in_the_cold(matrix, dtype, value):
    # The quotient by its square, as its derivative has it, is infinite.
    t = torch.tensor([value], dtype=dtype, requires_grad=True)
    p = matrix(torch.tensor([0.0, 1.0, 3.0], dtype=dtype), t)
    (found,) = torch.autograd.grad((p * normal(3, 3).to(dtype)).sum(), t)
    assert not bool(found.any())


# --- reduced scores ---------------------------------------------------------------------------


def test_reduced_scores_are_zero_on_the_best_matching_and_nowhere_above():
    for copies, shape in ((1, (20, 5, 5)), (3, (20, 3, 5))):
        x = gumbel(*shape)
        c, v = reduced(x, torch.ones(20, 1, 1).double(), copies)
        assert bool((c <= 0).all())
        if copies == 1:
            assert not bool(c[best(x) == 1].any())
        u = (c - x - v).masked_fill(c == -INF, 0.0)
        close(u, u.amin(-1, keepdim=True).where(u < 0, u.amax(-1, keepdim=True)), 1e-9)


def test_what_counts_nothing_is_left_out_and_nothing_else():
    x = torch.tensor([[[0.0, 0.0, -1e6], [-1e6, 0.0, -1e6], [0.0, -1.0, 0.0]]]).double()
    c, _ = reduced(x, torch.ones(1, 1, 1).double(), 1)
    # In no matching but bad ones, though its score is among the best.
    assert torch.equal(c[0] > -INF, torch.eye(3).bool())


@pytest.mark.parametrize("bad", [math.nan, INF, -INF], ids=str)
def test_a_bad_matrix_stays_as_it_is(bad):
    x = gumbel(3, 4, 4)
    x[1, 2] = bad
    found = shifts(x, torch.ones(()), 1)
    assert not bool(found[1].nan_to_num(0).any())
    assert bool(found[[0, 2]].any())


def test_shifts_are_an_operator():
    x = gumbel(2, 3, 3)
    operator = torch.ops.relaxit_permutation.shifts
    torch.library.opcheck(operator, (x, torch.ones(2, 1, 1), 1))
    close(torch.vmap(lambda x: shifts(x, torch.ones(()), 1))(x), shifts(x, torch.ones(()), 1), 0)
    t = torch.tensor([1.0, 1e-3]).double()
    got = torch.vmap(shifts, (None, 0, None))(x, t, 1)
    close(got[1].nan_to_num(9, 9, 9), shifts(x, t[1], 1).nan_to_num(9, 9, 9), 0)


# --- compiled ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["softsort", "neuralsort", "sinkhorn", None])
def test_compiled_for_a_temperature_that_changes(kind):
    def function(x, t):
        return sinkhorn(x, t) if kind is None else soft_permutation(x, t, kind)

    x = gumbel(3, 4, 4).float() if kind is None else normal(3, 4).float()
    floats = [1.0, 0.9, 0.8, 0.7]
    for values, most in ((floats, 2), ([torch.tensor(t) for t in floats], 1)):
        torch._dynamo.reset()
        counter = torch._dynamo.testing.CompileCounter()
        compiled = torch.compile(function, backend=counter, fullgraph=True)
        for t in values:
            close(compiled(x, t), function(x, t), 1e-6)
        assert counter.frame_count <= most


def test_compiled_in_the_cold():
    torch._dynamo.reset()
    compiled = torch.compile(lambda x, t: sinkhorn(x, t), backend="aot_eager", fullgraph=True)
    x = normal(3, 4, 4)
    for dtype in (torch.float32, torch.float64):
        for t in (1e-30, 1e-300):
            close(checked(compiled, x.to(dtype), t), best(x), 1e-6)
