"""Padded rows have the distribution of the shorter structure, and the rest is deterministic."""

from __future__ import annotations

import pytest
import torch
from sequence_oracles import INF, LONG, close, normal, structure
from torch.distributions import kl_divergence

from relaxit import DomainError, ShapeError

CHAINS = pytest.mark.parametrize("name", ["chain", "gumbel-crf"])
T, S, K = 4, 3, 3


def chain_cut(name, params, length):
    """The chain of the first positions and its params."""
    whole, short = (structure(name, {"length": n, "states": S}) for n in (T, length))
    parts = whole.split(params)
    return short, short.join(unary=parts["unary"][..., :length, :],
                             pair=parts["pair"][..., : length - 1, :, :])  # fmt: skip


def segmentation_cut(params, length):
    whole = structure("segmentation", {"length": T, "labels": S, "longest": K})
    longest = min(K, length)
    short = structure("segmentation", {"length": length, "labels": S, "longest": longest})
    parts = whole.split(params)
    return short, short.join(segment=parts["segment"][..., :length, :longest, :],
                             pair=parts["pair"][..., : length - 1, :, :])  # fmt: skip


def alignment_cut(moves, params, rows, columns):
    short = structure("alignment", {"rows": rows, "columns": columns, "moves": moves})
    return short, params[..., :rows, :columns]


def cases():
    """The structure, the lengths, and a function that cuts params."""
    for name in ("chain", "gumbel-crf"):
        whole = structure(name, {"length": T, "states": S})
        for length in range(1, T + 1):
            yield whole, (length,), lambda p, n=name, k=length: chain_cut(n, p, k)
    whole = structure("segmentation", {"length": T, "labels": S, "longest": K})
    for length in range(1, T + 1):
        yield whole, (length,), lambda p, k=length: segmentation_cut(p, k)
    for moves, rows, columns in (("warping", 4, 5), ("attention", 3, 5)):
        whole = structure("alignment", {"rows": rows, "columns": columns, "moves": moves})
        for n in range(1, rows + 1):
            for m in range(1, columns + 1):
                if fits(moves, n, m, rows - n, columns - m):
                    yield whole, (n, m), lambda p, a=moves, n=n, m=m: alignment_cut(a, p, n, m)


def fits(moves, n, m, missing_rows, missing_columns):
    if moves == "attention":
        return n <= m and missing_rows <= missing_columns
    return (missing_rows > 0) == (missing_columns > 0)


ALL = pytest.mark.parametrize(
    ("whole", "lengths", "cut"), list(cases()), ids=lambda x: "" if callable(x) else str(x)
)


def padded(whole, params, lengths):
    return whole.pad(params, *map(torch.tensor, lengths))


@ALL
@pytest.mark.parametrize("masked", [False, True])
def test_quantities_are_those_of_the_shorter_structure(whole, lengths, cut, masked):
    params, other = normal(2, *whole.param_shape), normal(2, *whole.param_shape, number=1)
    if masked:
        holes = normal(2, *whole.param_shape, number=2) > 1
        params = params.masked_fill(holes, -INF)
    short, real = cut(params)
    if not bool(short.valid_params(real).all()):
        pytest.skip("masks leave no value")
    q, wanted = whole.discrete(padded(whole, params, lengths)), short.discrete(real)
    close(q.log_partition(), wanted.log_partition())
    close(q.entropy(), wanted.entropy())
    within = tuple(slice(0, size) for size in short.event_shape)
    close(q.mean[:, *within], wanted.mean)
    close(q.mode[:, *within], wanted.mode)
    p, known = whole.discrete(padded(whole, other, lengths)), short.discrete(cut(other)[1])
    close(kl_divergence(q, p), kl_divergence(wanted, known))


@ALL
def test_the_rest_is_deterministic(whole, lengths, cut):
    params = normal(2, *whole.param_shape)
    short, _ = cut(params)
    long = padded(whole, params, lengths)
    outside = torch.ones(whole.event_shape, dtype=torch.bool)
    outside[tuple(slice(0, size) for size in short.event_shape)] = False
    q = whole(long, temperature=3.0)
    rest = q.discrete.mode[:, outside]
    close(q.discrete.mean[:, outside], rest)
    close(q.rsample((20,))[..., outside], rest.expand(20, *rest.shape))
    assert torch.equal(q.discrete.sample((20,))[..., outside], rest.expand(20, *rest.shape))


@ALL
@pytest.mark.parametrize("dtype", LONG)
def test_what_is_padded_is_not_read(whole, lengths, cut, dtype):
    params = normal(2, *whole.param_shape).to(dtype)
    leaf = params.clone().requires_grad_()
    q = whole.discrete(padded(whole, leaf, lengths))
    loss = q.entropy() + q.mean.square().flatten(1).sum(-1)
    (slope,) = torch.autograd.grad(loss.sum(), leaf)
    # Numbers without a meaning, where the gradient of the real part says that nothing is read.
    short, _ = cut(params)
    real = torch.zeros_like(params).requires_grad_()
    (used,) = torch.autograd.grad(cut(real)[1].sum(), real)
    assert not bool(slope[used == 0].any())
    junk = torch.where(used == 0, torch.nan, params).requires_grad_()
    again = whole.discrete(padded(whole, junk, lengths))
    assert torch.equal(again.entropy(), q.entropy())
    assert torch.equal(again.mean, q.mean)
    assert bool(whole.valid_params(padded(whole, junk, lengths)).all())
    assert short.discrete(cut(params)[1]).entropy().dtype == dtype


@CHAINS
def test_each_row_has_its_length(name):
    whole = structure(name, {"length": T, "states": S})
    params = normal(2, 3, *whole.param_shape)
    lengths = torch.tensor([[1, 2, 3], [4, 3, 1]])
    for dtype in (torch.uint8, torch.int32, torch.int64):
        entropy = whole.discrete(whole.pad(params, lengths.to(dtype))).entropy()
        for i, j in ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)):
            short, real = chain_cut(name, params[i, j], int(lengths[i, j]))
            close(entropy[i, j], short.discrete(real).entropy())
    shared = whole.pad(params, torch.tensor([2, 4, 1]))  # broadcasts over the rows
    each = whole.pad(params, torch.tensor([2, 4, 1]).expand(2, 3))
    assert torch.equal(shared, each)


def test_each_pair_of_sequences_has_its_lengths():
    whole = structure("alignment", {"rows": 4, "columns": 5})
    params = normal(3, 4, 5)
    rows, columns = torch.tensor([1, 3, 4]), torch.tensor([4, 2, 5])
    mean = whole.discrete(whole.pad(params, rows, columns)).mean
    for row in range(3):
        n, m = int(rows[row]), int(columns[row])
        short, real = alignment_cut("warping", params[row], n, m)
        close(mean[row, :n, :m], short.discrete(real).mean)


# --- errors -----------------------------------------------------------------------------------


def structures():
    yield structure("chain", {"length": T, "states": 2})
    yield structure("gumbel-crf", {"length": T, "states": 2})
    yield structure("segmentation", {"length": T, "labels": 1, "longest": 2})


@pytest.mark.parametrize("whole", list(structures()), ids=lambda x: x.name)
@pytest.mark.parametrize(
    ("lengths", "kind", "words"),
    [
        (torch.tensor([0, 2]), DomainError, "lengths must be from 1 to 4, got 0 to 2"),
        (torch.tensor([5, 4]), DomainError, "lengths must be from 1 to 4, got 4 to 5"),
        (torch.tensor([-1, 4]), DomainError, "got -1 to 4"),
        (torch.tensor([2.0, 4.0]), TypeError, "integer tensor, got torch.float32"),
        (torch.tensor([True, True]), TypeError, "integer tensor, got torch.bool"),
        ([2, 4], TypeError, "integer tensor, got list"),
        (torch.tensor([2, 4, 1]), ShapeError, r"lengths [3] do not broadcast to the batch [2]"),
        (torch.tensor([[2, 4]]), ShapeError, r"lengths [1, 2] do not broadcast to the batch [2]"),
    ],
    ids=str,
)
def test_lengths_that_do_not_fit(whole, lengths, kind, words):
    with pytest.raises(kind) as error:
        whole.pad(torch.zeros(2, *whole.param_shape), lengths)
    assert str(error.value).startswith(f"{whole.name}: ")
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", [(4,), (3, 3), (2, 4, 4)])
def test_params_of_another_shape_are_not_padded(shape):
    whole = structure("alignment", {"rows": 3, "columns": 4})
    with pytest.raises(ShapeError) as error:
        padded(whole, torch.zeros(shape), (2, 2))
    assert str(error.value) == f"alignment: params must be [*, 3, 4], got {list(shape)}"


@pytest.mark.parametrize(
    ("moves", "rows", "columns", "words"),
    [
        ("warping", 0, 3, "alignment, rows: lengths must be from 1 to 3, got 0 to 0"),
        ("warping", 2, 5, "alignment, columns: lengths must be from 1 to 4, got 5 to 5"),
        ("warping", 2, 4, "columns must be as well"),
        ("warping", 3, 3, "columns must be as well"),
        ("attention", 1, 3, "as many missing rows as missing columns"),
    ],
)
def test_lengths_of_alignments_that_do_not_fit(moves, rows, columns, words):
    whole = structure("alignment", {"rows": 3, "columns": 4, "moves": moves})
    with pytest.raises(DomainError) as error:
        padded(whole, torch.zeros(3, 4), (rows, columns))
    assert str(error.value).startswith("alignment")
    assert words in str(error.value)
    assert "\n" not in str(error.value)
