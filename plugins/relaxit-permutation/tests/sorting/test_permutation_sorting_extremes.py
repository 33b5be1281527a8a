"""Soft sorting at the ends of the range: the limits, and finite gradients."""

from __future__ import annotations

import pytest
import torch
from permutation_extremes import COLD, HOT, checked, numbers
from permutation_helpers import close, dtypes, normal

from relaxit_permutation.sorting.neuralsort import neuralsort
from relaxit_permutation.sorting.ranking import hard_permutation, rank, soft_permutation, sort, topk
from relaxit_permutation.sorting.softsort import softsort

pytestmark = pytest.mark.usefixtures("all_converge")
kinds = pytest.mark.parametrize("kind", ["softsort", "neuralsort", "sinkhorn"])


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
