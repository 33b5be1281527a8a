"""Scores reduced by the potentials of their best matching."""

from __future__ import annotations

import math

import pytest
import torch
from permutation_helpers import INF, best, close, gumbel

from relaxit_permutation.sinkhorn.reduced import reduced, shifts

pytestmark = pytest.mark.usefixtures("all_converge")


def test_reduced_scores_are_zero_on_the_best_matching_and_nowhere_above():
    for copies, shape in ((1, (20, 5, 5)), (3, (20, 3, 5))):
        x = gumbel(*shape)
        c, v = reduced(x, torch.ones(20, 1, 1).double(), copies)
        assert bool((c <= 0).all())
        if copies == 1:
            assert not bool(c[best(x) == 1].any())
        u = (c - x - v).masked_fill(c == -INF, 0.0)
        close(u, u.amin(-1, keepdim=True).where(u < 0, u.amax(-1, keepdim=True)), 1e-9)


def test_negligible_entries_are_left_out_and_no_others():
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
