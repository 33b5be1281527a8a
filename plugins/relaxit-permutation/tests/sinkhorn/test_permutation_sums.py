"""Given row and column sums, of which some are 0, and matrices of different sizes in a batch."""

from __future__ import annotations

import warnings

import pytest
import torch
from permutation_helpers import INF, close, dtypes, normal, seed, unrolled
from torch import Tensor

from relaxit.errors import ConfigurationError, DomainError, ShapeError
from relaxit_permutation.sinkhorn.operator import sinkhorn
from relaxit_permutation.sinkhorn.scaling import SinkhornWarning, scale_matrices
from relaxit_permutation.sinkhorn.sums import counted_sums, extended

pytestmark = pytest.mark.usefixtures("all_converge")


def sums(*shape: int, number: int = 4) -> Tensor:
    drawn = torch.rand(shape, generator=seed(number), dtype=torch.float64) + 0.1
    return drawn / drawn.sum(-1, keepdim=True)


@dtypes
@pytest.mark.parametrize("temperature", [0.05, 1.0, 20.0])
@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (3, 7), (7, 3), (1, 5), (5, 1)], ids=str)
def test_transport_between_sums(dtype, temperature, shape):
    m, n = shape
    x = normal(3, 2, m, n)
    rows, columns = sums(2, m), sums(2, n, number=5)
    found = sinkhorn(
        x.to(dtype), temperature, rows=rows.to(dtype), columns=columns.to(dtype), newton=200
    )
    assert found.dtype == dtype
    off = 1e-10 if dtype == torch.float64 else 2e-5
    close(found.sum(-1), rows.expand(3, 2, m), off)
    close(found.sum(-2), columns.expand(3, 2, n), off)
    close(found, unrolled(x / temperature, 20_000, rows, columns), 10 * off)


def test_sums_broadcast_and_need_no_unit_total():
    x = normal(5, 3, 4)
    rows, columns = torch.tensor([2.0, 1.0, 1.0]), torch.ones(4)
    found = sinkhorn(x, 0.5, rows=rows.double(), columns=columns.double())
    close(found, unrolled(x / 0.5, 2000, rows.double(), columns.double()), 1e-9)
    halves = sinkhorn(x.half(), 0.5, rows=rows.half(), columns=columns.half())
    assert halves.dtype == torch.float16
    close(halves, found, 3e-3)
    plain = sinkhorn(x, 0.5, rows=torch.ones(3).double() * (4 / 3), columns=columns.double())
    close(plain.sum(-1), torch.full((5, 3), 4 / 3, dtype=torch.float64), 1e-9)


def cut(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The rows, the columns, and the matrix, that have an allowed entry."""
    rows, columns = mask.any(-1).nonzero().squeeze(-1), mask.any(-2).nonzero().squeeze(-1)
    inside = x[rows][:, columns].masked_fill(~mask[rows][:, columns], -INF)
    return rows, columns, inside


def sizes(*pairs: tuple[int, int], n: int = 5, m: int = 5) -> Tensor:
    """Masks of matrices of given sizes, at places of their own."""
    masks = torch.zeros(len(pairs), m, n, dtype=torch.bool)
    for i, (r, c) in enumerate(pairs):
        rows = torch.randperm(m, generator=seed(i))[:r]
        columns = torch.randperm(n, generator=seed(i + 50))[:c]
        masks[i, rows.unsqueeze(-1), columns] = True
    return masks


@dtypes
@pytest.mark.parametrize("temperature", [0.05, 1.0, 20.0])
def test_each_matrix_is_that_of_its_size(dtype, temperature):
    # Square, wide (columns keep a rest), a single entry, none, all.
    masks = sizes((3, 3), (2, 4), (4, 5), (1, 1), (0, 0), (5, 5), (0, 3))
    x = (2 * normal(len(masks), 5, 5)).to(dtype)
    x.requires_grad_()
    found = sinkhorn(x, temperature, mask=masks)
    off = 1e-9 if dtype == torch.float64 else 1e-4
    weights = normal(5, 5, number=9).to(dtype)
    (slope,) = torch.autograd.grad((found * weights).sum(), x)
    assert not found[~masks].any()
    assert not slope[~masks].any()
    for p, of_x, given, mask in zip(found, slope, x, masks, strict=True):
        rows, columns, inside = cut(given.detach(), mask)
        if not mask.any():
            continue
        inside.requires_grad_()
        alone = sinkhorn(inside, temperature)
        close(p[rows][:, columns], alone, off)
        (want,) = torch.autograd.grad((alone * weights[rows][:, columns]).sum(), inside)
        close(of_x[rows][:, columns], want, off * max(1.0, 10 / temperature))


def test_a_fixed_number_of_iterations_is_enough():
    # As on a GPU, where the error is not checked: entries that would only tend to 0 are left out.
    masks = sizes((3, 3), (4, 4), (2, 4), (5, 5))
    x = (normal(len(masks), 5, 5) / 0.3).masked_fill(~masks, -INF).float()
    scores, rows, columns = extended(x, counted_sums(x))
    given = scores, rows.unsqueeze(-1), columns.unsqueeze(-2)
    found, _, off = scale_matrices(*given, 200, 100, 1e-5, False)
    assert float(off.max()) < 1e-4
    for p, given, mask in zip(found[:, :-1, :-1], x, masks, strict=True):
        chosen_rows, chosen_columns, inside = cut(given, mask)
        close(p[chosen_rows][:, chosen_columns], sinkhorn(inside), 1e-4)


def test_tall_matrices_with_masked_rows():
    x = normal(2, 6, 4)
    masks = sizes((3, 4), (2, 2), n=4, m=6)
    found = sinkhorn(x, 0.5, mask=masks)
    for p, given, mask in zip(found, x, masks, strict=True):
        rows, columns, inside = cut(given, mask)
        close(p[rows][:, columns], sinkhorn(inside, 0.5), 1e-10)


@pytest.mark.parametrize("by_sums", [True, False])
def test_own_sums_may_be_zero(by_sums):
    x, rows, columns = normal(4, 6), sums(4), sums(6, number=5)
    r, c = torch.tensor([True, False, True, True]), torch.tensor([1, 1, 0, 1, 0, 1]).bool()
    r_sums, c_sums = rows * r, columns * c
    c_sums = c_sums * r_sums.sum() / c_sums.sum()
    mask = None if by_sums else r.unsqueeze(-1) & c
    given = (r_sums, c_sums) if by_sums else (rows, columns * (r_sums.sum() / c_sums.sum()))
    if not by_sums:  # sums of masked rows and columns count as 0, whatever they are
        given = r_sums + ~r * 7.0, c_sums + ~c * 3.0
    found = sinkhorn(x, 0.5, rows=given[0], columns=given[1], mask=mask)
    close(found[r][:, c], sinkhorn(x[r][:, c], 0.5, rows=r_sums[r], columns=c_sums[c]), 1e-10)
    assert not found[~r].any()
    assert not found[:, ~c].any()


def test_partly_masked_entries():
    x = normal(3, 4, 4)
    mask = torch.ones(4, 4, dtype=torch.bool)
    mask[0, 1] = mask[2, 3] = mask[1, 1] = False
    close(sinkhorn(x, 0.5, mask=mask), sinkhorn(x.masked_fill(~mask, -INF), 0.5), 0)
    mask[3] = False
    mask[:, 0] = False
    found = sinkhorn(x, 0.5, mask=mask)
    inside = x.masked_fill(~mask, -INF)[:, :3, 1:]
    close(found[:, :3, 1:], sinkhorn(inside, 0.5), 1e-9)


@pytest.mark.parametrize("masked", [True, False])
def test_sums_of_zero_where_values_are_not_read(masked):
    x, mask = normal(2, 3, 4), torch.ones(3, 4, dtype=torch.bool) if masked else None
    rows, columns = torch.tensor([0.5, 0.0, 0.5]).double(), torch.tensor([0.2, 0.3, 0.5, 0.0])

    def plan(scores: Tensor, r: Tensor, c: Tensor) -> Tensor:
        return sinkhorn(scores, 0.5, rows=r, columns=c, mask=mask)

    for r, c in ((rows, columns.double()), (rows + 1 / 3, torch.full((4,), 0.5).double())):
        want = plan(x, r, c)
        assert bool(want.isfinite().all())
        close(torch.func.vmap(plan, in_dims=(0, None, None))(x, r, c), want, 1e-9)
        torch._dynamo.reset()
        compiled = torch.compile(plan, backend="eager", fullgraph=True)
        close(compiled(x, r, c), want, 1e-9)


def test_more_rows_than_columns_where_values_are_not_read():
    mask = torch.tensor([[True, True], [True, True], [True, True]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SinkhornWarning)
        found = torch.func.vmap(lambda s: sinkhorn(s, mask=mask))(normal(2, 3, 2))
    assert bool(found.isnan().all())


@dtypes
@pytest.mark.parametrize("total", [1e-30, 1e20, 1e30])
def test_the_unit_of_the_sums_does_not_matter(dtype, total):
    x, rows, columns = normal(3, 4).to(dtype), sums(3).to(dtype), sums(4).to(dtype)
    rows[1] = 0
    columns = columns * (rows.sum() / columns.sum())
    given = [s.requires_grad_() for s in (rows * total, columns * total)]
    found = sinkhorn(x, 0.5, rows=given[0], columns=given[1])
    close(found / total, sinkhorn(x, 0.5, rows=rows, columns=columns), 1e-5)
    slopes = torch.autograd.grad((found * normal(3, 4, number=3).to(dtype)).sum(), given)
    assert all(bool(slope.isfinite().all()) for slope in slopes)


def test_totals_that_differ_by_rounding():
    x, rows, columns = normal(3, 4), sums(3), sums(4) * 1.0005
    found = sinkhorn(x, 0.5, rows=rows, columns=columns)
    close(found.sum(-1), rows, 1e-10)
    close(found.sum(-2), columns / 1.0005, 1e-10)


@pytest.mark.parametrize("dim", [(0, 1), (1, 0), (-1, -2), (2, 0), (0, -1)])
def test_any_two_dimensions(dim):
    x = normal(4, 4, 4)
    mask = torch.ones_like(x, dtype=torch.bool)
    mask.select(dim[0], 1).fill_(False)
    moved = x.movedim(dim, (-2, -1)), mask.movedim(dim, (-2, -1))
    for given, last in ((None, None), (mask, moved[1])):
        got = sinkhorn(x, 0.5, dim=dim, mask=given)
        close(got.movedim(dim, (-2, -1)), sinkhorn(moved[0], 0.5, mask=last), 1e-12)
        assert got.shape == x.shape


def test_gradients_of_scores_and_sums():
    x, rows, columns = (t.requires_grad_() for t in (normal(2, 3, 4), sums(2, 3), sums(4)))

    def plan(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        rows, columns = (s / s.sum(-1, keepdim=True) for s in (rows, columns))
        return sinkhorn(x, 0.7, rows=rows, columns=columns)

    assert torch.autograd.gradcheck(plan, (x, rows, columns), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(plan, (x, rows, columns))
    found = torch.autograd.grad((plan(x, rows, columns) ** 2).sum(), (x, rows, columns))
    by_hand = unrolled(x / 0.7, 500, rows, columns)
    want = torch.autograd.grad((by_hand**2).sum(), (x, rows, columns))
    for one, other in zip(found, want, strict=True):
        close(one - one.mean(), other - other.mean(), 1e-8)


@pytest.mark.slow
def test_compiled_and_under_vmap():
    x, masks = normal(3, 5, 5), sizes((3, 3), (2, 4), (5, 5))
    want = sinkhorn(x, 0.5, mask=masks)
    close(torch.func.vmap(lambda a, b: sinkhorn(a, 0.5, mask=b))(x, masks), want, 1e-10)
    torch._dynamo.reset()
    compiled = torch.compile(
        lambda a, b: sinkhorn(a, 0.5, mask=b), fullgraph=True, backend="aot_eager"
    )
    close(compiled(x.requires_grad_(), masks), want, 1e-10)


ONES, HALF = torch.ones(3), torch.full((3,), 0.5)


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        ({"rows": ONES}, ConfigurationError, "both rows= and columns=.*only rows"),
        ({"columns": ONES}, ConfigurationError, "only columns"),
        ({"rows": [1.0, 1.0, 1.0], "columns": ONES}, TypeError, "rows must be a tensor, got list"),
        ({"rows": ONES[:2], "columns": ONES}, ShapeError, r"rows of shape \[2\].*\[3\]"),
        ({"rows": ONES, "columns": ONES.expand(2, 3)}, ShapeError, r"columns of shape \[2, 3\]"),
        ({"rows": ONES, "columns": HALF}, DomainError, "same total.*3 and 1.5"),
        ({"rows": -ONES, "columns": -ONES}, DomainError, "rows must be finite and not negative"),
        ({"rows": ONES / 0, "columns": ONES}, DomainError, "rows must be finite"),
        ({"mask": torch.ones(3, 3)}, TypeError, "bool"),
        ({"rows": ONES, "columns": 1.05 * ONES}, DomainError, "same total.*3 and 3.15"),
        ({"mask": torch.tensor([True, False, False])}, DomainError, "more rows than columns"),
    ],
    ids=str,
)
def test_errors(given, kind, said):
    with pytest.raises(kind, match=said) as found:
        sinkhorn(torch.zeros(3, 3), **given)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("shape", [(3, 2), (4, 1)], ids=str)
def test_a_mask_that_leaves_all_of_a_tall_matrix(shape):
    with pytest.raises(DomainError, match="the mask leaves more rows than columns"):
        sinkhorn(torch.zeros(shape), mask=torch.ones(shape, dtype=torch.bool))
