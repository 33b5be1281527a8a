"""Matchings of some rows to some columns: values, samples, masks, the bound."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from permutation_helpers import ALL_DTYPES, INF, close, normal, seed
from torch import Tensor

from relaxit.errors import ConfigurationError, DomainError
from relaxit.testing import count_values, wrong_frequencies
from relaxit_permutation.gumbel_sinkhorn import unmatched
from relaxit_permutation.gumbel_sinkhorn.matching import Matching
from relaxit_permutation.gumbel_sinkhorn.partial_matching import PartialMatching
from relaxit_permutation.gumbel_sinkhorn.permutation import Permutation
from relaxit_permutation.plackett_luce.permutation_plackett_luce import PermutationPlackettLuce

SHAPES = [(1, 1), (1, 3), (3, 1), (2, 2), (3, 2), (2, 3), (3, 3)]
SIZES = pytest.mark.parametrize("shape", SHAPES, ids=str)


def listed(m: int, n: int) -> Tensor:
    """All partial matchings, by trying every matrix of zeros and ones."""
    bits = torch.tensor(list(itertools.product([0.0, 1.0], repeat=m * n))).double().view(-1, m, n)
    return bits[(bits.sum(-1) <= 1).all(-1) & (bits.sum(-2) <= 1).all(-1)]


def structure(m: int, n: int) -> PartialMatching:
    return PartialMatching(rows=m, columns=n)


def best(scores: Tensor) -> Tensor:
    values = listed(*scores.shape[-2:])
    return values[torch.einsum("...ij,sij->...s", scores.double(), values).argmax(-1)]


@SIZES
def test_values(shape):
    values, q = listed(*shape), structure(*shape)
    found = q.enumerate_vertices()
    assert len(found.unique(dim=0)) == len(found) == len(values)
    assert {str(v.tolist()) for v in found} == {str(v.tolist()) for v in values}
    close(torch.tensor(q.log_cardinality), torch.tensor(math.log(len(values))), 1e-12)
    assert bool(q.vertices.check(values).all())
    assert bool(q.support.check(values).all())


@SIZES
@ALL_DTYPES
def test_the_best_one(shape, dtype):
    scores = (2 * normal(200, *shape)).to(dtype)
    found = structure(*shape).argmax(scores)
    assert found.dtype == dtype
    close(found, best(scores), 0)
    alone = structure(*shape).argmax(-scores.abs())
    assert not alone.any()


@SIZES
@pytest.mark.parametrize("temperature", [0.02, 0.5, 5.0])
def test_soft_samples(shape, temperature, all_converge):
    q = structure(*shape)(normal(*shape), temperature)
    soft, hard = q.draw((200,), seed(1))
    assert bool(q.relaxation.support.check(soft).all())
    assert bool(q.relaxation.vertices.check(hard).all())
    assert torch.equal(q.hard(soft), hard)  # the scores can be read from the soft sample
    if temperature == 0.02:
        assert float((soft - hard).abs().mean()) < 0.05


def test_one_row_is_a_categorical_variable():
    params = normal(1, 4)
    p = torch.cat([params, torch.zeros(1, 1)], -1).softmax(-1).flatten()
    hard = structure(1, 4)(params).sample_hard((40_000,), seed(1)).flatten(-2)
    counts = torch.cat([hard.sum(0), (1 - hard.sum(-1)).sum().view(1)]).long()
    wrong = wrong_frequencies(counts, p)
    assert not wrong, wrong


@SIZES
def test_the_bound(shape):
    m, n = shape
    q, values, draws = structure(m, n), listed(m, n), 20_000
    for params in (torch.zeros(m, n).double(), normal(m, n), 3 * normal(m, n, number=3)):
        hard = q(params).sample_hard((draws,), seed(2))
        p = count_values(hard, values).double() / draws
        kl = math.log(len(values)) - float(torch.special.entr(p).sum())
        assert float(q(params).kl_to_uniform()) >= kl - 0.02
        assert float(q(params).kl_to_uniform()) <= q.log_cardinality + 1e-9
    # The constant bounds the distribution at params of 0.
    p = count_values(q(torch.zeros(m, n).double()).sample_hard((draws,), seed(3)), values) / draws
    assert float((p * len(values)).log().max()) <= unmatched.excess(m, n) + 0.1


def test_the_bound_of_masked_params():
    values, draws = listed(3, 2), 20_000
    q = structure(3, 2)
    masks = torch.tensor([[0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 1], [1, 1, 0, 0, 0, 1]]).bool()
    for mask in masks.view(-1, 3, 2):
        params = normal(3, 2).masked_fill(~mask, -INF)
        p = count_values(q(params).sample_hard((draws,), seed(2)), values).double() / draws
        kl = math.log(len(values)) - float(torch.special.entr(p).sum())
        bound = float(q(params).kl_to_uniform())
        assert kl - 0.02 <= bound <= 2 * q.log_cardinality + 1e-9
        if not mask.any():  # only one matching is possible
            assert bound >= math.log(len(values)) - 1e-6


@SIZES
def test_the_excess_at_params_of_zero(shape):
    m, n = shape
    values = listed(m, n)
    sizes = [int(k) for k in values.sum((-2, -1))]
    greatest = max(float(n - k + 2) ** -k * float(n - k + 1) ** (k - m) for k in sizes)
    assert unmatched.excess(m, n) == pytest.approx(math.log(len(values) * greatest), abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_graphs_of_different_sizes(dtype, all_converge):
    sizes = [(3, 2), (2, 4), (1, 1), (4, 4), (0, 2), (0, 0)]
    scores = (2 * normal(len(sizes), 4, 4)).to(dtype)
    mask = torch.zeros(len(sizes), 4, 4, dtype=torch.bool)
    for i, (m, n) in enumerate(sizes):
        mask[i, :m, :n] = True
    padded = scores.masked_fill(~mask, -INF).requires_grad_()
    q = structure(4, 4)
    soft, hard = q.relax(padded, 0.5), q.argmax(padded.detach())
    (slope,) = torch.autograd.grad(soft.square().sum(), padded)
    assert not soft[~mask].any()
    assert not hard[~mask].any()
    assert not slope[~mask].any()
    for i, (m, n) in enumerate(sizes):
        if m:
            alone = scores[i, :m, :n].clone().requires_grad_()
            want = structure(m, n).relax(alone, 0.5)
            close(soft[i, :m, :n], want, 1e-5)
            close(hard[i, :m, :n], structure(m, n).argmax(alone.detach()), 0)
            close(slope[i, :m, :n], torch.autograd.grad(want.square().sum(), alone)[0], 1e-4)
    drawn, vertex = q(padded.detach(), 0.5).draw((20,), seed(1))
    assert not drawn[:, ~mask].any()
    assert not vertex[:, ~mask].any()
    assert bool(q(padded.detach()).kl_to_uniform().isfinite().all())


def test_derivatives_in_both_modes(all_converge):
    q, x = structure(3, 2), normal(3, 2)

    def soft(v):
        return q.relax(v, 0.5)

    close(torch.func.jacfwd(soft)(x), torch.func.jacrev(soft)(x), 1e-9)
    assert bool(torch.func.hessian(lambda v: q(v).kl_to_uniform())(x).isfinite().all())


def test_a_threshold_decides_how_many_are_matched():
    scores = normal(2000, 5, 4)
    q = structure(5, 4)
    matched = [
        float(q(scores - t).sample_hard((), seed(1)).sum((-2, -1)).mean()) for t in (-3, 0, 3)
    ]
    assert matched[0] > matched[1] + 0.3 > matched[2] + 1


def test_sizes_come_from_the_shape():
    shape = torch.Size([7, 3, 3])
    for cls, sizes in {
        Permutation: {"n": 3},
        Matching: {"rows": 3, "columns": 3},
        PartialMatching: {"rows": 3, "columns": 3},
        PermutationPlackettLuce: {"n": 3},
    }.items():
        assert cls.sizes(shape) == sizes
        assert cls(**cls.sizes(shape)).param_shape == shape[-len(cls(**sizes).param_shape) :]
        assert cls.sizes(torch.Size()) == {}


def test_errors():
    with pytest.raises(ConfigurationError, match=r"rows = 3 exceeds .*'partial-matching'"):
        Matching(rows=3, columns=2)
    with pytest.raises(ConfigurationError, match=r"rows must be at least 1"):
        PartialMatching(rows=0, columns=2)
    for wrong in (math.nan, INF):
        with pytest.raises(DomainError, match=r"^partial-matching: illegal params.*NaN or \+inf"):
            structure(2, 1)(torch.tensor([[0.0], [wrong]]))
