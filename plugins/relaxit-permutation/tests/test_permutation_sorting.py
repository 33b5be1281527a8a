"""SoftSort, NeuralSort, hard orders, and the helpers that sort plain values."""

from __future__ import annotations

import itertools

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata
from torch import Tensor

from relaxit_permutation.matrices import polytope
from relaxit_permutation.matrices.rounding import matrix_of, order_of, sorting_matrix
from relaxit_permutation.plackett_luce.permutation_plackett_luce import PermutationPlackettLuce
from relaxit_permutation.sorting.neuralsort import neuralsort
from relaxit_permutation.sorting.ranking import hard_permutation, rank, soft_permutation, sort, topk
from relaxit_permutation.sorting.softsort import softsort

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
ALL_DTYPES = pytest.mark.parametrize("dtype", DTYPES)
TEMPERATURES = [1e-3, 0.1, 1.0, 10.0, 1e3]
ROWS = pytest.mark.parametrize("relaxation", ["softsort", "neuralsort"])
EVERY = pytest.mark.parametrize("relaxation", ["softsort", "neuralsort", "sinkhorn"])
SOFT = {"softsort": softsort, "neuralsort": neuralsort}


def seed(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def normal(*shape: int, number: int = 7) -> Tensor:
    return torch.randn(shape, generator=seed(number), dtype=torch.float64)


def close(got: Tensor, want: Tensor, atol: float, rtol: float = 0.0) -> None:
    torch.testing.assert_close(got.detach().double(), want.detach().double(), atol=atol, rtol=rtol)


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


def is_permutation(value: Tensor) -> Tensor:
    binary = ((value == 0) | (value == 1)).flatten(-2).all(-1)
    return binary & (value.sum(-1) == 1).all(-1) & (value.sum(-2) == 1).all(-1)


# --- the soft matrices --------------------------------------------------------------------------


@ROWS
@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("n", range(1, 8))
def test_soft_matrices_equal_the_plain_formulas(relaxation, n, temperature):
    for scale in (0.01, 1.0, 30.0):
        x = normal(3, n) * scale
        got = SOFT[relaxation](x, temperature)
        want = torch.stack([PLAIN[relaxation](row.tolist(), temperature) for row in x])
        # The plain form of NeuralSort loses digits: n^2 x / tau of them.
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
def test_cooling(relaxation, n):
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
def test_a_temperature_a_row(relaxation):
    x = normal(3, 2, 5)
    tau = torch.tensor([[[0.2]], [[1.0]], [[3.0]]], dtype=torch.float64)
    got = SOFT[relaxation](x, tau)
    for row, each in enumerate((0.2, 1.0, 3.0)):
        close(got[row], SOFT[relaxation](x[row], each), 1e-14)


# --- hard values --------------------------------------------------------------------------------


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


# --- the helpers --------------------------------------------------------------------------------


@EVERY
@ALL_DTYPES
def test_helpers_become_the_hard_ones(relaxation, dtype):
    # Values one apart, shuffled; temperatures far below.
    x = torch.stack([torch.randperm(6, generator=seed(i)) for i in range(20)]).to(dtype)
    tau, small = 0.05, 4 * torch.finfo(dtype).eps + 1e-5
    hard = hard_permutation(x)
    close(soft_permutation(x, tau, relaxation), hard, small)
    close(hard @ x.unsqueeze(-1), x.sort(-1, descending=True).values.unsqueeze(-1), 0)
    for descending in (True, False):
        want = x.sort(-1, descending=descending).values
        close(sort(x, tau, relaxation, descending=descending), want, 6 * small)
        signed = -x if descending else x
        ranks = torch.tensor(rankdata(signed.double().numpy(), axis=-1))
        close(rank(x, tau, relaxation, descending=descending), ranks, 6 * small)
        best = topk(x, 2, tau, relaxation, largest=descending)
        close(best.values, x.topk(2, largest=descending).values, 6 * small)
        assert torch.equal(best.weights.argmax(-1), x.topk(2, largest=descending).indices)
        down = soft_permutation(x, tau, relaxation, descending=descending)
        close(down, hard_permutation(x, descending=descending), small)
    for found in (sort(x, tau, relaxation), rank(x, tau, relaxation), *best):
        assert found.dtype == dtype


@EVERY
@pytest.mark.parametrize("batch", [(), (3,), (2, 0), (2, 3)])
def test_helpers_are_made_of_the_soft_matrix(relaxation, batch):
    x = normal(*batch, 5)
    p = soft_permutation(x, 0.7, relaxation)
    assert p.shape == (*batch, 5, 5)
    close(sort(x, 0.7, relaxation), torch.einsum("...ij,...j->...i", p, x), 1e-13)
    ranks = torch.einsum("...ij,i->...j", p, torch.arange(1.0, 6.0).double()) / p.sum(-2)
    close(rank(x, 0.7, relaxation), ranks, 1e-13)
    for k in range(1, 6):
        best = topk(x, k, 0.7, relaxation)
        close(best.weights, p[..., :k, :], 1e-14)
        close(best.values, sort(x, 0.7, relaxation)[..., :k], 1e-13)


@ROWS
def test_soft_permutation_is_the_relaxation_without_noise(relaxation):
    x = normal(4, 6)
    structure = PermutationPlackettLuce(n=6, relaxation=relaxation)
    assert torch.equal(soft_permutation(x, 0.4, relaxation), structure.relax(x, 0.4))
    assert bool(polytope.row_stochastic.check(soft_permutation(x.half(), 0.4, relaxation)).all())


def test_sinkhorn_preserves_sums():
    x = normal(20, 6)
    p = soft_permutation(x, 0.5, "sinkhorn")
    assert bool(polytope.bipartite.check(p).all())
    close(sort(x, 0.5, "sinkhorn").sum(-1), x.sum(-1), 1e-2)
    close(rank(x, 0.5, "sinkhorn").sum(-1), torch.full((20,), 21.0), 1e-2)
    close(soft_permutation(x + 100, 0.5, "sinkhorn"), p, 1e-6)
    close(soft_permutation(4 * x, 2.0, "sinkhorn"), p, 1e-6)


@EVERY
@pytest.mark.parametrize("temperature", [0.05, 0.5, 5.0])
def test_of_two_values_all_are_a_sigmoid(relaxation, temperature):
    x = normal(20, 2)
    p = soft_permutation(x, temperature, relaxation)
    first = ((x[:, 0] - x[:, 1]) / temperature).sigmoid()
    want = torch.stack([first, 1 - first, 1 - first, first], -1).view(20, 2, 2)
    close(p, want, 1e-5)


@EVERY
def test_ties_share_their_ranks(relaxation):
    x = torch.tensor([1.0, 0.0, 1.0, 5.0]).double()
    p = soft_permutation(x, 0.01, relaxation)
    want = [[0, 0, 0, 1], [0.5, 0, 0.5, 0], [0.5, 0, 0.5, 0], [0, 1, 0, 0]]
    close(p, torch.tensor(want), 1e-4)
    close(rank(x, 0.01, relaxation), torch.tensor([2.5, 4, 2.5, 1]), 1e-3)
    close(sort(x, 0.01, relaxation), torch.tensor([5.0, 1, 1, 0]), 1e-3)
    assert hard_permutation(x).argmax(-1).tolist() == [3, 0, 2, 1]


@EVERY
def test_helpers_have_gradients(relaxation):
    x = normal(2, 4).requires_grad_()
    functions = [
        lambda v: sort(v, 0.8, relaxation),
        lambda v: rank(v, 0.8, relaxation),
        lambda v: topk(v, 2, 0.8, relaxation).values,
        lambda v: sort(v, 0.8, relaxation, descending=False),
    ]
    for function in functions:
        assert torch.autograd.gradcheck(function, x, atol=1e-4, rtol=1e-3)
    tied = torch.tensor([1.0, 1.0, 0.0, 0.0], requires_grad=True)
    (slope,) = torch.autograd.grad(rank(tied, 0.5, relaxation)[0], tied)
    assert bool(slope.isfinite().all())
    # The first becomes better in rank (a smaller number) with a greater value.
    apart = torch.tensor([1.0, 1.2, 0.0, -1.0], requires_grad=True)
    (slope,) = torch.autograd.grad(rank(apart, 0.5, relaxation)[0], apart)
    assert float(slope[0]) < 0 < float(slope[1])
    assert not hard_permutation(x).requires_grad


@ROWS
def test_helpers_in_batches(relaxation):
    x = normal(3, 5)

    def every(v: Tensor) -> Tensor:
        best = topk(v, 2, 0.5, relaxation)
        flat = [best.values, best.weights.flatten(), hard_permutation(v).flatten()]
        return torch.cat([sort(v, 0.5, relaxation), rank(v, 0.5, relaxation), *flat])

    close(torch.func.vmap(every)(x), torch.stack([every(row) for row in x]), 1e-14)
    tau = torch.tensor([0.2, 1.0, 3.0])
    got = sort(x, tau, relaxation)
    want = [sort(row, float(t), relaxation) for row, t in zip(x, tau, strict=True)]
    close(got, torch.stack(want), 1e-6)
    close(sort(x, torch.tensor(0.5), relaxation), sort(x, 0.5, relaxation), 1e-7)


def test_topk_of_many_values():
    # Two rows of 200 000, which as a matrix would take 300 GB.
    x = torch.randn(200_000, generator=seed(1))
    for relaxation in ("softsort", "neuralsort"):
        best = topk(x, 2, 1e-6, relaxation)
        close(best.values, x.topk(2).values, 1e-5)
        assert torch.equal(best.weights.argmax(-1), x.topk(2).indices)


@pytest.mark.slow
@ROWS
def test_helpers_compile(relaxation):
    def every(v: Tensor, tau: Tensor) -> Tensor:
        return sort(v, tau, relaxation).sum() + (rank(v, tau, relaxation) * v).sum()

    torch._dynamo.reset()
    compiled = torch.compile(every, fullgraph=True, backend="aot_eager")
    x, tau = normal(3, 5), torch.tensor(0.5)
    close(compiled(x, tau), every(x, tau), 1e-12)
