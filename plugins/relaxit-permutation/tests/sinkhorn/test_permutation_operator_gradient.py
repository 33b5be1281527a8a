"""The gradient of the limit: against the unrolled form, differences and float64; and its memory."""

from __future__ import annotations

import warnings

import pytest
import torch
from permutation_helpers import (
    INF,
    KINDS,
    attractive,
    close,
    dtypes,
    gumbel,
    normal,
    padded,
    scores,
    sums_off,
    uneven,
    unrolled,
)

from relaxit.bench.measuring.memory import peak_bytes
from relaxit_permutation.sinkhorn.implicit import scaled
from relaxit_permutation.sinkhorn.operator import sinkhorn


def slope(function, x, upstream=None):
    """The gradient of ``<upstream, function(x)>``, and the value."""
    leaf = x.detach().clone().requires_grad_()
    value = function(leaf)
    if upstream is None:
        upstream = normal(*value.shape, number=3)
    return torch.autograd.grad(value, leaf, upstream.to(value.dtype))[0], value.detach()


# --- against the unrolled form ----------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 5, 8])
@pytest.mark.parametrize("temperature", [0.3, 1.0, 5.0])
def test_equals_the_unrolled_gradient(n, temperature):
    x = torch.cat([scores(k, 3, n, n) for k in ("zero", "gumbel", "nearly tied", "duplicates")])
    got, value = slope(lambda x: sinkhorn(x, temperature), x)
    want, oracle = slope(lambda x: unrolled(x / temperature, 1500), x)
    there = sums_off(oracle) < 1e-11
    assert float(there.double().mean()) > 0.7
    close(value[there], oracle[there], 1e-9)
    close(got[there], want[there], 1e-6 * min(1, float(want.abs().max())))
    assert float(want[there].abs().max()) > 1e-2


@pytest.mark.parametrize(("m", "n"), [(1, 3), (2, 3), (3, 6), (4, 5)])
def test_equals_the_unrolled_gradient_of_wide_matrices(m, n):
    x = gumbel(4, m, n)
    got, _ = slope(lambda x: sinkhorn(x, 0.7), x)
    want, _ = slope(lambda x: unrolled(padded(x / 0.7), 1500)[:, :m], x)
    close(got, want, 1e-7)


def test_equals_the_unrolled_gradient_for_other_sums():
    x, rows, columns = normal(3, 4, 6), normal(3, 4, number=1).exp(), normal(3, 6, number=2).exp()
    columns = columns * (rows.sum(-1) / columns.sum(-1)).unsqueeze(-1)
    got, _ = slope(lambda x: scaled(x, rows, columns)[0], x)
    want, _ = slope(lambda x: unrolled(x, 1500, rows, columns), x)
    close(got, want, 1e-8)


def test_equals_the_unrolled_gradient_of_masked_scores():
    i = torch.arange(5)
    x = gumbel(4, 5, 5).masked_fill((i[:, None] - i).abs() > 1, -INF)
    got, _ = slope(lambda x: sinkhorn(x, 0.7), x)
    want, _ = slope(lambda x: unrolled(x.clamp_min(-1e4) / 0.7, 3000), x)
    close(got, want, 1e-8)
    assert not bool(got[x == -INF].any())


def test_two_by_two_in_closed_form():
    x = torch.cat([scores(k, 4, 2, 2) for k in KINDS])
    for temperature in (0.05, 0.3, 1.0, 30.0):
        gap = (x[:, 0, 0] + x[:, 1, 1] - x[:, 0, 1] - x[:, 1, 0]) / (2 * temperature)
        sign = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
        g = normal(len(x), 2, 2, number=3)
        steep = torch.sigmoid(gap) * torch.sigmoid(-gap) / (2 * temperature)
        want = steep.view(-1, 1, 1) * sign * (g * sign).sum((-1, -2), keepdim=True)
        close(slope(lambda x, t=temperature: sinkhorn(x, t), x)[0], want, 1e-8, 1e-6)


# --- differences, second derivatives, the temperature -----------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 3), (2, 4), (1, 3), (2, 3, 3)], ids=str)
@pytest.mark.parametrize("temperature", [0.3, 2.0])
def test_differences(shape, temperature):
    x = gumbel(*shape).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: sinkhorn(x, temperature), x)
    assert torch.autograd.gradgradcheck(lambda x: sinkhorn(x, temperature), x)


def test_differences_in_the_temperature():
    x = gumbel(2, 3, 4).requires_grad_()
    for value in (torch.tensor(0.6), torch.tensor([0.4, 2.0]).view(2, 1, 1)):
        t = value.double().requires_grad_()
        assert torch.autograd.gradcheck(sinkhorn, (x, t))
        assert torch.autograd.gradgradcheck(sinkhorn, (x, t))


def test_a_masked_entry_does_not_spoil_the_temperature():
    x = gumbel(3, 3)
    x[0, 1] = -INF
    t = torch.tensor(0.6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: sinkhorn(x, t), t)
    (found,) = torch.autograd.grad((sinkhorn(x, t) * normal(3, 3)).sum(), t)
    assert bool(found.isfinite())


# --- properties at any size -------------------------------------------------------------------


@dtypes
@pytest.mark.parametrize(("m", "n"), [(1, 1), (2, 2), (5, 5), (10, 10), (32, 32), (5, 9), (31, 32)])
def test_rows_and_columns_of_the_gradient_sum_to_zero(m, n, dtype):
    for kind in ("zero", "gumbel", "sparse", "ties", "blocks", "learned"):
        for temperature in (0.05, 0.3, 1.0, 10.0):
            x = (scores(kind, 3, m, n) / temperature).to(dtype)
            found, _ = slope(sinkhorn, x)
            assert bool(found.isfinite().all()), (kind, temperature)
            small = 1e-3 if dtype == torch.float32 else 1e-9
            assert float(found.sum(-1).abs().max()) < small, (kind, temperature)
            if m == n:
                assert float(found.sum(-2).abs().max()) < small, (kind, temperature)


def test_a_gradient_across_the_polytope_gives_none():
    x = gumbel(4, 6, 6)
    across = normal(4, 6, 1) + normal(4, 1, 6, number=8)
    close(slope(lambda x: sinkhorn(x, 0.3), x, across)[0], torch.zeros(4, 6, 6), 1e-11)


def test_the_derivative_is_symmetric_and_not_negative():
    x = gumbel(4, 4)
    j = torch.autograd.functional.jacobian(sinkhorn, x).view(16, 16)
    close(j, j.mT, 1e-10)
    eigen = torch.linalg.eigvalsh(j)
    assert float(eigen[0]) > -1e-12
    assert int((eigen > 1e-9).sum()) == 9  # (n - 1)^2 directions in the polytope


@pytest.mark.parametrize("n", [3, 5, 10, 32])
@pytest.mark.parametrize("temperature", [0.02, 0.05, 0.1, 0.2, 1.0])
def test_float32_follows_float64(n, temperature):
    x = torch.cat([scores(k, 4, n, n) for k in ("gumbel", "ties", "rank one")]).float()
    upstream = normal(*x.shape, number=3)
    got, _ = slope(lambda x: sinkhorn(x, temperature), x, upstream)
    want, _ = slope(lambda x: sinkhorn(x, temperature), x.double(), upstream)
    # The value is right to 1e-5, and its derivative is divided by the temperature.
    close(got * temperature, want * temperature, 1e-3, 1e-3)
    assert bool(got.isfinite().all())


@dtypes
@pytest.mark.parametrize("gap", [10.0, 30.0, 100.0, 1000.0])
def test_blocks_have_the_gradients_they_have_alone(gap, dtype):
    one, other = gumbel(3, 3), gumbel(4, 4, number=9)
    x = torch.full((7, 7), -gap, dtype=torch.float64)
    x[:3, :3], x[3:, 3:] = one, other
    g = normal(7, 7, number=3)
    got, _ = slope(sinkhorn, x.to(dtype), g)
    near = 30 * torch.exp(torch.tensor(-gap)) + (2e-5 if dtype == torch.float32 else 1e-8)
    close(got[:3, :3], slope(sinkhorn, one, g[:3, :3])[0], float(near))
    close(got[3:, 3:], slope(sinkhorn, other, g[3:, 3:])[0], float(near))
    assert float(got[:3, 3:].abs().max()) < float(near)


@dtypes
@pytest.mark.parametrize("off", [1.0, 10.0, 30.0, 100.0, 1e4])
def test_nearly_a_permutation(off, dtype):
    # A two-by-two sub-problem: the gradient is the slope of a sigmoid, however small.
    x = torch.tensor([[off, 0.0], [0.0, off]], dtype=dtype)
    g = torch.tensor([[1.0, 0.0], [0.0, 0.0]], dtype=dtype)
    found, value = slope(sinkhorn, x, g)
    p = torch.sigmoid(torch.tensor(off).double())
    want = p * torch.sigmoid(torch.tensor(-off).double()) / 2
    scale = 1e-5 if dtype == torch.float32 else 1e-12
    assert float(found[0, 0]) == pytest.approx(float(want), abs=scale)
    close(found.sum(-1), torch.zeros(2), scale)
    close(value.sum(-1), torch.ones(2), 1e-6)


@dtypes
@pytest.mark.parametrize("temperature", [0.01, 0.1, 1.0])
def test_nothing_is_nan(temperature, dtype):
    i = torch.arange(8)
    x = gumbel(2, 8, 8)
    hard = [
        *(scores(kind, 2, 8, 8) for kind in KINDS),
        uneven(2, 8, 10.0),
        attractive(2, 8),
        x.masked_fill((i[:, None] > i), -INF),
        x.masked_fill(i[:, None] != i, -INF),
        x.masked_fill((i[:, None] - i).abs() > 1, -INF),
    ]
    for each in hard:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            t = torch.tensor(temperature, dtype=dtype, requires_grad=True)
            leaf = each.to(dtype).requires_grad_()
            value = sinkhorn(leaf, t)
            found = torch.autograd.grad(value.square().sum(), (leaf, t))
        for one in (value, *found):
            assert bool(one.isfinite().all())
        assert not bool(found[0][each == -INF].any())


@pytest.mark.parametrize("iterations", [1, 5, 50])
def test_the_gradient_is_that_of_the_limit_whatever_led_there(iterations):
    x = gumbel(3, 6, 6)
    one, _ = slope(lambda x: sinkhorn(x, 0.2, iterations=iterations), x)
    other, _ = slope(lambda x: sinkhorn(x, 0.2, iterations=20000, newton=0), x)
    close(one, other, 1e-7)


def test_potentials_and_errors_have_no_gradient():
    x = gumbel(2, 3, 3).requires_grad_()
    p, v, error = scaled(x, x.new_ones(3), x.new_ones(3))
    assert p.requires_grad
    assert not v.requires_grad
    assert not error.requires_grad


def test_empty_batches_have_gradients():
    x = torch.zeros(0, 3, 3, requires_grad=True)
    sinkhorn(x).sum().backward()
    assert x.grad.shape == (0, 3, 3)


# --- memory -----------------------------------------------------------------------------------


def training_step(shape, **options):
    x = gumbel(*shape).float().requires_grad_()

    def step():
        value = sinkhorn(x, 0.1, tolerance=INF, **options)
        return torch.autograd.grad(value.square().sum(), x)[0]

    step()  # what is allocated once and for all is not counted
    return peak_bytes(step, torch.device("cpu")) / (4 * x.numel())


@pytest.mark.parametrize("newton", [0, 40])
def test_memory_does_not_depend_on_the_iterations(newton):
    shape = (64, 100, 100)
    few, some, many = (training_step(shape, iterations=i, newton=newton) for i in (10, 100, 1000))
    assert max(few, some, many) < 1.03 * min(few, some, many)
    assert many < 8  # tensors of the size of the scores, the result included
