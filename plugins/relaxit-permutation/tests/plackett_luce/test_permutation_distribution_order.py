"""The first k places of an order: their probability, and samples of them."""

from __future__ import annotations

import itertools
import math
import re

import numpy as np
import pytest
import torch
from permutation_helpers import ALL_DTYPES, INF, close, normal, seed
from plackett_luce_oracles import distribution, log_masses, orders
from torch import Tensor

from relaxit.errors import DomainError, ShapeError
from relaxit.testing import wrong_frequencies
from relaxit_permutation.matrices.rounding import matrix_of
from relaxit_permutation.plackett_luce.choices import log_first, pads_in_place

N = 4
PAD = torch.tensor([False, True, False, False])


def firsts(k: int, n: int = N) -> Tensor:
    """All choices of the first k places, ``[C, k]``."""
    return torch.tensor(list(itertools.permutations(range(n), k))).long().view(math.perm(n, k), k)


def by_enumeration(scores: Tensor, order: Tensor) -> Tensor:
    """The probability that an order begins so, summed over all orders."""
    all_orders = torch.tensor(orders(scores.shape[-1]))
    same = (all_orders[:, : order.shape[-1]].unsqueeze(1) == order).all(-1)
    return (log_masses(scores).exp().unsqueeze(1) * same).sum(0).log()


@pytest.mark.parametrize("k", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("scale", [0.0, 1.0, 10.0])
def test_probability_of_the_first_places(k, scale):
    scores, order = scale * normal(N), firsts(k)
    found = distribution(scores).log_prob_of_order(order)
    close(found, by_enumeration(scores, order), 1e-9)
    close(found.exp().sum(), torch.ones(()), 1e-12)
    rows = matrix_of(firsts(N), torch.float64)[:: math.factorial(N - k), :k]
    if k:
        close(distribution(scores).log_prob_of_order(rows), found, 1e-12)


@ALL_DTYPES
def test_whole_orders_have_the_mass_of_their_matrix(dtype):
    scores, order = normal(5, N).to(dtype), firsts(N)
    q = distribution(scores)
    want = q.log_prob(matrix_of(order, dtype).unsqueeze(1))
    got = q.log_prob_of_order(order.unsqueeze(1))
    assert got.shape == (24, 5)
    assert got.dtype == want.dtype
    close(got, want, 1e-5)
    for short in (torch.int8, torch.int16, torch.int32, torch.uint8):
        close(q.log_prob_of_order(order.unsqueeze(1).to(short)), got, 0)


def test_lists_of_different_lengths():
    scores = normal(N)
    q = distribution(scores)
    ragged = torch.tensor([[2, 0, -1, -1], [1, -1, -1, -1], [-1, -1, -1, -1], [3, 1, 0, 2]])
    got = q.log_prob_of_order(ragged)
    for found, row in zip(got, ragged, strict=True):
        close(found, q.log_prob_of_order(row[row >= 0]), 1e-12)
    assert float(got[2]) == 0
    impossible = torch.tensor([[2, 2], [4, 0], [-1, 2], [0, 4]])
    assert bool((q.log_prob_of_order(impossible) == -INF).all())
    first = [[1.0, 0, 0, 0], [0.5, 0.5, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]
    rows = torch.tensor([[row, [0, 0, 1, 0]] for row in first])
    assert (q.log_prob_of_order(rows.double()) > -INF).tolist() == [True, False, False, False]
    rows = torch.tensor([[[1.0, 0, 0, 0], [1, 0, 0, 0]], [[0, 0, 1, 0], [1, 1, 1, 1]]])
    assert bool((q.log_prob_of_order(rows.double()) == -INF).all())


def test_pads_come_last():
    scores = normal(N).masked_fill(PAD, -INF)
    q, alone = distribution(scores), distribution(scores[~PAD])
    items = (~PAD).nonzero().squeeze(-1)
    for k in range(1, 4):
        order = firsts(k, 3)
        close(q.log_prob_of_order(items[order]), alone.log_prob_of_order(order), 1e-12)
    order = firsts(3, 3)
    behind = torch.cat([items[order], torch.ones(6, 1, dtype=torch.int64)], -1)
    close(q.log_prob_of_order(behind), alone.log_prob_of_order(order), 1e-12)
    early = torch.tensor([[1, 0, 2, 3], [0, 1, 2, 3], [0, 2, 1, 3]])
    assert bool((q.log_prob_of_order(early) == -INF).all())
    drawn = q.sample_order((500,), generator=seed(1))
    assert bool((drawn[:, 3] == 1).all())
    two = torch.tensor([True, False, True])
    assert pads_in_place(two, torch.tensor([[1, 0, 2], [1, 2, 0], [1, -1, -1]])).tolist() == [
        True,
        False,
        True,
    ]


def test_gradients():
    scores = normal(2, N).requires_grad_()
    order = torch.tensor([[2, 0, -1], [1, 3, 0]])
    assert torch.autograd.gradcheck(lambda s: log_first(s, order), scores, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(lambda s: log_first(s, order), scores)
    # ListMLE: the loss of an order of labels, in padded lists.
    mask = torch.tensor([[True, True, False, True], [True, True, True, False]])
    labels = torch.tensor([[1.0, 3.0, 9.0, 2.0], [0.0, 1.0, 2.0, 9.0]])
    by_label = labels.masked_fill(~mask, -INF).argsort(descending=True, stable=True)
    loss = -distribution(scores.masked_fill(~mask, -INF)).log_prob_of_order(by_label)
    (slope,) = torch.autograd.grad(loss.sum(), scores)
    assert bool(slope.isfinite().all())
    assert not slope[~mask].any()
    for i in range(2):
        row = scores[i, mask[i]].detach()
        order = labels[i, mask[i]].argsort(descending=True)
        close(loss[i], -distribution(row).log_prob_of_order(order), 1e-12)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_samples_of_the_first_places(k):
    scores = normal(N)
    q, order = distribution(scores), firsts(k)
    drawn = q.sample_order((40_000,), k, seed(1))
    assert drawn.shape == (40_000, k)
    assert drawn.dtype == torch.int64
    counts = (drawn.unsqueeze(1) == order).all(-1).sum(0)
    wrong = wrong_frequencies(counts, q.log_prob_of_order(order).exp())
    assert not wrong, wrong
    assert torch.equal(q.sample_order((9,), k, seed(3)), q.sample_order((9,), k, seed(3)))
    assert distribution(normal(3, N)).sample_order((5, 2)).shape == (5, 2, 3, N)


@pytest.mark.parametrize(
    ("order", "kind", "said"),
    [
        ([0, 1], TypeError, "got list"),
        (torch.tensor([True, False]), TypeError, "got torch.bool"),
        (torch.zeros(2, dtype=torch.complex64), TypeError, "got torch.complex64"),
        (torch.tensor(1), ShapeError, r"at most 4, got \[\]"),
        (torch.zeros(5, dtype=torch.int64), ShapeError, r"at most 4, got \[5\]"),
        (torch.zeros(2, 3), ShapeError, r"\[\*, k, 4\] of rows.*got \[2, 3\]"),
        (torch.zeros(3, 2, dtype=torch.int64), ShapeError, r"\[3, 2\] does not broadcast.*\[2\]"),
    ],
    ids=str,
)
def test_errors(order, kind, said):
    with pytest.raises(kind, match=f"^permutation-plackett-luce, log_prob_of_order.*{said}"):
        distribution(normal(2, N)).log_prob_of_order(order)


@pytest.mark.parametrize("k", [0, 5, -1, 2.0, True, "2", torch.tensor(2)])
def test_k(k):
    kind, said = TypeError, "an integer"
    if type(k) is int:
        kind, said = DomainError, "between 1 and n = 4"
    with pytest.raises(kind, match=re.escape(f"sample_order: k must be {said}, got {k!r}")):
        distribution(normal(N)).sample_order((), k)
    assert distribution(normal(N)).sample_order((), np.int64(2)).shape == (2,)
