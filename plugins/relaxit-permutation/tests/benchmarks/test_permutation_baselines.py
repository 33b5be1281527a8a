"""The published algorithms do what they are said to."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from relaxit_permutation.benchmarks.baselines import (
    log_sinkhorn,
    log_sinkhorn_until,
    published_matching,
)
from relaxit_permutation.matrices.assignment import assign
from relaxit_permutation.sinkhorn.operator import residual, sinkhorn


def scores(*shape: int, number: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(number)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def test_the_log_form_is_alternate_normalisation():
    x = scores(2, 5, 5)
    expected = x.exp()
    for _ in range(7):
        expected = expected / expected.sum(-1, keepdim=True)
        expected = expected / expected.sum(-2, keepdim=True)
    torch.testing.assert_close(log_sinkhorn(x, 7), expected)


def test_the_log_form_tends_to_what_sinkhorn_finds_and_so_does_its_gradient():
    x, vector = scores(2, 5, 5).requires_grad_(), scores(2, 5, 5, number=4)
    forms = log_sinkhorn(x / 0.5, 500), sinkhorn(x, 0.5)
    gradients = [torch.autograd.grad(each, x, vector)[0] for each in forms]
    torch.testing.assert_close(*forms, atol=1e-10, rtol=0)
    torch.testing.assert_close(*gradients, atol=1e-9, rtol=0)


@pytest.mark.parametrize(("cap", "reached"), [(20_000, True), (5, False)])
def test_the_log_form_stops_at_the_tolerance_or_the_cap(cap, reached):
    x = scores(3, 6, 6) / 0.1
    soft = log_sinkhorn_until(x, 1e-6, cap)
    assert bool(residual(soft).max() <= 1.01e-6) is reached
    if not reached:
        torch.testing.assert_close(soft, log_sinkhorn(x, 5))


def test_the_published_matching_is_the_best_of_all():
    x = scores(6, 4, 4)
    matrices = torch.eye(4, dtype=x.dtype)[torch.tensor([*itertools.permutations(range(4))])]
    totals = torch.einsum("pij,bij->bp", matrices, x)
    found = published_matching(x)
    assert torch.equal(found, matrices[totals.argmax(-1)])
    assert torch.equal(found, assign(x))
    assert published_matching(x.float()).dtype == torch.float32
