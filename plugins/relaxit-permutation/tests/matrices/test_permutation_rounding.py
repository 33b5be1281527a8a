"""Hard orders: of ties, of soft matrices and of any matrix."""

from __future__ import annotations

import itertools

import pytest
import torch
from permutation_helpers import ALL_DTYPES, ROWS, is_permutation, normal, seed
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from relaxit_permutation.matrices.rounding import matrix_of, order_of, sorting_matrix
from relaxit_permutation.plackett_luce.permutation_plackett_luce import PermutationPlackettLuce
from relaxit_permutation.sorting.ranking import hard_permutation, rank


def ties(n: int) -> dict[str, Tensor]:
    """1000 rows each of values among which some are equal."""
    x = normal(1000, n)
    pairs = x.clone()
    pairs[:, 1::2] = pairs[:, : n - 1 : 2]
    return {
        "all equal": torch.ones(1000, n, dtype=torch.float64),
        "pairs equal": pairs,
        "few values": (x * 0.7).round(),
        "short": (100 + x).to(torch.bfloat16).double(),
        "zeros of both signs": torch.zeros(1000, n, dtype=torch.float64) * x.sign(),
    }


@ROWS
@ALL_DTYPES
@pytest.mark.parametrize("n", [1, 2, 3, 8, 17])
def test_a_thousand_tied_inputs_give_a_thousand_permutations(relaxation, n, dtype):
    structure = PermutationPlackettLuce(n=n, relaxation=relaxation)
    for name, values in ties(n).items():
        x = values.to(dtype)
        hard = {"argmax": structure.argmax(x), "hard_permutation": hard_permutation(x)}
        hard["draw"] = structure(x, 1.0).draw()[1]
        for temperature in (0.01, 1.0, 100.0):
            soft = structure.relax(x.float(), temperature).to(dtype)
            hard[f"hard at {temperature}"] = structure.hard(soft)
        for road, value in hard.items():
            assert int(is_permutation(value).sum()) == 1000, f"{name}, {road}"
            assert value.dtype == dtype


@ALL_DTYPES
def test_tied_values_keep_their_order(dtype):
    x = torch.tensor([1.0, 2.0, 1.0, 2.0, 1.0], dtype=dtype)
    assert hard_permutation(x).argmax(-1).tolist() == [1, 3, 0, 2, 4]
    assert hard_permutation(x, descending=False).argmax(-1).tolist() == [0, 2, 4, 1, 3]
    many = torch.zeros(1000, dtype=dtype)  # an unstable sort shows from some length on
    assert torch.equal(sorting_matrix(many).argmax(-1), torch.arange(1000))
    flat = torch.full((40, 40), 1 / 40, dtype=dtype)
    assert torch.equal(order_of(flat), torch.arange(40))


def test_two_rows_with_one_maximum():
    both = torch.tensor([[0.0, 0.4, 0.6], [0.0, 0.4, 0.6], [0.9, 0.1, 0.0]])
    assert int(is_permutation(matrix_of(order_of(both), both.dtype))) == 1
    for rows in itertools.product(torch.eye(3), repeat=3):
        value = torch.stack(rows)  # all 27 matrices of one 1 a row, with empty columns too
        assert bool(is_permutation(matrix_of(order_of(value), value.dtype)))
        if bool(is_permutation(value)):
            assert torch.equal(matrix_of(order_of(value), value.dtype), value)


def test_hard_is_the_nearest_wherever_row_maxima_differ():
    # Any matrix at all, compared with the assignment problem.
    value = torch.rand(4000, 4, 4, generator=seed(1), dtype=torch.float64).pow(3)
    value = value / value.sum(-1, keepdim=True)
    different = value.argmax(-1).sort(-1).values.eq(torch.arange(4)).all(-1)
    assert 200 < int(different.sum()) < 3800
    hard = matrix_of(order_of(value), value.dtype)
    assert bool(is_permutation(hard).all())
    for one, found in zip(value[different], hard[different], strict=True):
        best = linear_sum_assignment(one.numpy(), maximize=True)[1]
        assert found.argmax(-1).tolist() == best.tolist()


@ROWS
@pytest.mark.parametrize(
    ("dtype", "share"), [(torch.float32, 1.0), (torch.bfloat16, 0.99), (torch.float16, 0.99)]
)
def test_hard_of_soft_agrees_with_the_draw(relaxation, dtype, share):
    structure = PermutationPlackettLuce(n=10, relaxation=relaxation)
    params = normal(2000, 10).to(dtype)
    for temperature in (1.0, 0.1, 0.01):
        soft, hard = structure(params, temperature).draw((), seed(1))
        near = structure.hard(soft)
        same = (near == hard).flatten(1).all(-1).double().mean()
        assert float(same) >= share
        # Where it differs, it is as near as rounding tells.
        wide = soft.double()
        best = torch.stack([_best(m) for m in wide[:300]])
        lost = best - (wide * near).sum((-1, -2))[:300]
        assert float(lost.max()) <= torch.finfo(dtype).eps


def _best(matrix: Tensor) -> Tensor:
    rows, columns = linear_sum_assignment(matrix.numpy(), maximize=True)
    return matrix[rows, columns].sum()


@ROWS
def test_mean_ranks_are_in_the_order_of_the_values(relaxation):
    # The fallback for rounding: so at every temperature, where row maxima are nearly equal too.
    x = normal(500, 8)
    for temperature in (0.3, 3.0, 100.0):
        got = rank(x, temperature, relaxation)
        assert torch.equal(got.argsort(-1), x.argsort(-1, descending=True))
