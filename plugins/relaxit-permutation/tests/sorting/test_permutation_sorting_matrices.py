"""The soft matrices of SoftSort and NeuralSort."""

from __future__ import annotations

import pytest
import torch
from permutation_helpers import ALL_DTYPES, ROWS, close, is_permutation, normal
from torch import Tensor

from relaxit_permutation.matrices.rounding import sorting_matrix
from relaxit_permutation.plackett_luce.permutation_plackett_luce import PermutationPlackettLuce
from relaxit_permutation.sorting.neuralsort import neuralsort
from relaxit_permutation.sorting.softsort import softsort

TEMPERATURES = [1e-3, 0.1, 1.0, 10.0, 1e3]
SOFT = {"softsort": softsort, "neuralsort": neuralsort}


def plain_softsort(x: list[float], temperature: float) -> Tensor:
    """Equation 4 of arXiv:2006.16038, entry by entry."""
    ordered = sorted(x, reverse=True)
    rows = [[-abs(a - b) / temperature for b in x] for a in ordered]
    return torch.tensor(rows, dtype=torch.float64).softmax(-1)


def plain_neuralsort(x: list[float], temperature: float) -> Tensor:
    """Equation 5 of arXiv:1903.08850, entry by entry; its rows count from 1."""
    n = len(x)
    total = [sum(abs(a - b) for b in x) for a in x]
    rows = [
        [((n + 1 - 2 * i) * x[j] - total[j]) / temperature for j in range(n)]
        for i in range(1, n + 1)
    ]
    return torch.tensor(rows, dtype=torch.float64).softmax(-1)


PLAIN = {"softsort": plain_softsort, "neuralsort": plain_neuralsort}


@ROWS
@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("n", range(1, 8))
def test_soft_matrices_equal_the_plain_formulas(relaxation, n, temperature):
    for scale in (0.01, 1.0, 30.0):
        x = normal(3, n) * scale
        got = SOFT[relaxation](x, temperature)
        want = torch.stack([PLAIN[relaxation](row.tolist(), temperature) for row in x])
        # The plain formula of NeuralSort loses digits: n^2 x / tau of them.
        close(got, want, 1e-14 + 1e-15 * n**2 * scale / temperature)
        for k in range(1, n + 1):
            assert torch.equal(SOFT[relaxation](x, temperature, k), got[..., :k, :])


@ROWS
@ALL_DTYPES
@pytest.mark.parametrize("n", [1, 2, 5, 12, 100])
def test_samples_are_row_stochastic(relaxation, n, dtype):
    structure = PermutationPlackettLuce(n=n, relaxation=relaxation)
    for temperature in TEMPERATURES:
        for scale in (0.0, 1.0, 50.0, 1e4):
            soft, hard = structure((normal(4, n) * scale).to(dtype), temperature).draw((3,))
            assert soft.dtype == hard.dtype == dtype
            assert bool((soft >= 0).all())
            off = (soft.double().sum(-1) - 1).abs().max()
            assert float(off) <= max(1e-6, 4 * torch.finfo(dtype).eps)
            assert bool(structure.support.check(soft).all())
            assert bool(is_permutation(hard).all())


@ROWS
def test_columns_do_not_sum_to_one(relaxation):
    soft = SOFT[relaxation](normal(50, 5), 1.0)
    assert float((soft.sum(-2) - 1).abs().mean()) > 0.05


@ROWS
def test_rows_are_unimodal_with_the_maximum_at_their_item(relaxation):
    x = normal(200, 7)
    order = x.argsort(-1, descending=True)
    for temperature in (0.1, 1.0, 10.0):
        soft = SOFT[relaxation](x, temperature)
        assert torch.equal(soft.argmax(-1), order)
        by_rank = soft.gather(-1, order.unsqueeze(-2).expand_as(soft))
        rises = by_rank.diff(dim=-1)
        for i in range(7):  # up to the diagonal they rise, then they fall
            assert bool((rises[:, i, :i] >= 0).all())
            assert bool((rises[:, i, i:] <= 0).all())


@ROWS
@pytest.mark.parametrize("scale", [1.0, 50.0, 1e4])
def test_float32_is_as_good_as_its_values(relaxation, scale):
    # Large values a small distance apart, at a low temperature: exact differences, so that only
    # their quotient and the exponential are rounded.
    x = (normal(20, 10) * scale).float() + 4096
    for temperature in (1e-3, 0.1, 1.0):
        got = SOFT[relaxation](x, temperature)
        close(got, SOFT[relaxation](x.double(), temperature), 1e-5)


@ROWS
def test_invariances(relaxation):
    x, soft = normal(5, 6), SOFT[relaxation]
    close(soft(x + 3, 0.7), soft(x, 0.7), 1e-13)
    close(soft(x * 5, 3.5), soft(x, 0.7), 1e-13)
    close(soft(-x, 0.7), soft(x, 0.7).flip(-2), 1e-14)
    moved = torch.tensor([4, 0, 5, 2, 1, 3])
    close(soft(x[:, moved], 0.7), soft(x, 0.7)[..., moved], 1e-14)


@ROWS
@pytest.mark.parametrize("n", [2, 5])
def test_limits_of_the_temperature(relaxation, n):
    # At 0 the hard matrix; at infinity all entries are 1 / n.
    x = normal(300, n)
    hard, gaps = sorting_matrix(x), []
    for temperature in (3.0, 1.0, 0.3, 0.1, 0.03, 1e-6):
        gaps.append(float((SOFT[relaxation](x, temperature) - hard).abs().mean()))
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 1e-12
    assert gaps[0] > 0.1
    close(SOFT[relaxation](x, 1e9), torch.full_like(hard, 1 / n), 1e-7)


@ROWS
@pytest.mark.parametrize("n", [1, 2, 4])
def test_gradients_equal_differences(relaxation, n):
    x = normal(2, n).requires_grad_()
    tau = torch.tensor([[0.5], [2.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(SOFT[relaxation], (x, tau))
    assert torch.autograd.gradgradcheck(SOFT[relaxation], (x, tau))
    assert torch.autograd.gradcheck(lambda v: SOFT[relaxation](v, 0.3, 1), x)


@ROWS
def test_gradients_are_finite_at_ties_and_extremes(relaxation):
    rows = [[1.0, 1.0, 0.0, 0.0], [0.0] * 4, [1e4, -1e4, 1e4, 0.0], [50.0, -50.0, 0.0, 1e-6]]
    for dtype in (torch.float32, torch.float64):
        for temperature in TEMPERATURES:
            x = torch.tensor(rows, dtype=dtype, requires_grad=True)
            tau = torch.full((4, 1), temperature, dtype=dtype, requires_grad=True)
            total = (SOFT[relaxation](x, tau) * normal(4, 4).to(dtype)).sum()
            for slope in torch.autograd.grad(total, (x, tau)):
                assert bool(slope.isfinite().all())


@ROWS
def test_a_temperature_for_each_row(relaxation):
    x = normal(3, 2, 5)
    tau = torch.tensor([[[0.2]], [[1.0]], [[3.0]]], dtype=torch.float64)
    got = SOFT[relaxation](x, tau)
    for row, each in enumerate((0.2, 1.0, 3.0)):
        close(got[row], SOFT[relaxation](x[row], each), 1e-14)
