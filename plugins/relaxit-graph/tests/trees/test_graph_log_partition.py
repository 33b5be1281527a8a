"""Derivatives of log Z and of marginals: every order, every mode, masks and extreme weights."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from tree_oracles import INF, MASKS, directed, enumerate_trees, even, normal

from relaxit.environment import flushed_denormals
from relaxit_graph.trees.log_partition import log_partition

WEIGHTS = normal(5, 5, number=3)


def weighted(x):
    """One number for each row that depends on log Z and on all marginals."""
    log_z, marginals = log_partition(x)
    return 2 * log_z + (marginals * WEIGHTS[: x.shape[-2], : x.shape[-1]]).sum((-2, -1))


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_derivatives_are_those_of_finite_differences(n):
    x = normal(2, n, n).requires_grad_()
    assert gradcheck(log_partition, (x,), check_forward_ad=True)
    assert gradgradcheck(log_partition, (x,), check_fwd_over_rev=True, check_rev_over_rev=True)


@pytest.mark.parametrize("row", range(len(MASKS)))
def test_masked_derivatives_are_those_of_the_other_edges(row):
    free = (MASKS[row] == 0) & ~torch.eye(5, dtype=torch.bool)

    def of_free(entries):
        x = torch.full((5, 5), -INF, dtype=torch.float64)
        return weighted(torch.where(free, torch.zeros_like(x).masked_scatter(free, entries), x))

    entries = normal(int(free.sum())).requires_grad_()
    assert gradcheck(of_free, (entries,))
    assert gradgradcheck(of_free, (entries,))
    x = (normal(5, 5) + MASKS[row]).requires_grad_()
    (slope,) = torch.autograd.grad(weighted(x), x, create_graph=True)
    (second,) = torch.autograd.grad((slope * normal(5, 5, number=5)).sum(), x)
    for derivative in (slope, second):
        assert derivative.isfinite().all()
        assert (derivative[MASKS[row] == -INF] == 0).all()


def test_the_transforms_of_torch_func_agree():
    x = normal(3, 4, 4)
    x[0, 2, 1] = -INF
    slopes = torch.func.vmap(torch.func.grad(weighted))(x)
    for row, slope in zip(x, slopes, strict=True):
        leaf = row.clone().requires_grad_()
        (want,) = torch.autograd.grad(weighted(leaf), leaf)
        torch.testing.assert_close(slope, want, rtol=0, atol=1e-13)
    of_gradient = torch.func.vmap(torch.func.jacrev(torch.func.grad(weighted)))(x)
    hessian = torch.func.vmap(torch.func.hessian(weighted))(x)
    twice_forward = torch.func.jacfwd(torch.func.jacfwd(weighted))(x[1])
    torch.testing.assert_close(hessian, of_gradient, rtol=0, atol=1e-12)
    torch.testing.assert_close(twice_forward, hessian[1], rtol=0, atol=1e-12)
    assert hessian.abs().max() > 0.1


@pytest.mark.parametrize("n", [4, 5])
def test_compiled_code_agrees(n):
    compiled = torch.compile(weighted, fullgraph=True, backend="aot_eager")
    x = (normal(3, n, n) + MASKS[0][:n, :n]).requires_grad_()
    got, want = compiled(x), weighted(x)
    torch.testing.assert_close(got, want, rtol=0, atol=1e-13)
    slopes = [torch.autograd.grad(y.sum(), x)[0] for y in (got, want)]
    torch.testing.assert_close(*slopes, rtol=0, atol=1e-13)


@pytest.mark.parametrize("n", [3, 4])
def test_an_exported_program_takes_batches_of_any_size(n):
    class Marginals(torch.nn.Module):
        def forward(self, x):
            return log_partition(x)

    shapes = ({0: torch.export.Dim("rows")},)
    program = torch.export.export(Marginals(), (normal(3, n, n),), dynamic_shapes=shapes).module()
    for rows in (2, 7):
        x = (5 * normal(rows, n, n)).requires_grad_()
        got, want = program(x), log_partition(x)
        for y, z in zip(got, want, strict=True):
            torch.testing.assert_close(y, z, rtol=0, atol=1e-13)
        slopes = [torch.autograd.grad(y.square().sum(), x)[0] for _, y in (got, want)]
        torch.testing.assert_close(*slopes, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [1e3, 1e4, 1e7])
def test_weights_of_any_size_give_finite_derivatives(scale):
    x = (scale * normal(6, 5, 5)).requires_grad_()
    log_z, marginals = log_partition(x)
    want = enumerate_trees(x.detach(), directed(5))
    torch.testing.assert_close(log_z, want.log_z, rtol=1e-12, atol=0)
    torch.testing.assert_close(marginals, want.mean, rtol=0, atol=1e-14 * scale)
    (slope,) = torch.autograd.grad((marginals * normal(5, 5)).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad((slope * normal(5, 5)).sum(), x)
    assert slope.isfinite().all()
    assert second.isfinite().all()


def test_rows_that_underflow_do_not_change_the_others():
    x = even(normal(4, 6, 6))
    x[2] *= 1e4
    log_z, marginals = log_partition(x)
    for row, one, other in zip(x, log_z, marginals, strict=True):
        alone = log_partition(row)
        torch.testing.assert_close(one, alone[0], rtol=0, atol=0)
        torch.testing.assert_close(other, alone[1], rtol=0, atol=0)


def test_what_underflows_is_not_lost():
    # Two nodes that are joined to each other, and to the root by weights around 2e-308, below which
    # numbers are flushed to zero. Either edge to the root is taken, in proportion to its weight.
    x = torch.zeros(3, 3, dtype=torch.float64)
    x[1, 0], x[2, 0] = -707.5, -708.5
    with flushed_denormals():
        marginals = log_partition(x)[1]
    want = torch.tensor([-707.5, -708.5], dtype=torch.float64).softmax(0)
    torch.testing.assert_close(marginals[1:, 0], want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_short_dtypes_are_computed_in_float64(dtype):
    x = (20 * normal(2, 3, 6, 6)).to(dtype)
    log_z, marginals = log_partition(x)
    assert (log_z.shape, marginals.shape) == ((2, 3), (2, 3, 6, 6))
    want = enumerate_trees(x, directed(6))
    torch.testing.assert_close(log_z, want.log_z, rtol=1e-13, atol=0)
    torch.testing.assert_close(marginals, want.mean, rtol=0, atol=1e-13)


def test_no_rows():
    log_z, marginals = log_partition(torch.zeros(0, 3, 3))
    assert (log_z.shape, marginals.shape) == ((0,), (0, 3, 3))
