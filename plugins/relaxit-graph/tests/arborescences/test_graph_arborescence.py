"""Every quantity of directed trees against enumeration and numbers of 400 digits."""

from __future__ import annotations

import math

import pytest
import torch
from arborescence_oracles import (
    INF,
    ROOTS,
    enumerated,
    exact_marginals,
    legal_masks,
    normal,
    totals,
    trees,
)
from torch.distributions import kl_divergence

import relaxit
from relaxit_graph.arborescences.arborescence import Arborescence

SIZES = pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
DTYPES = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)], ids=str
)


def structure(n, single):
    return Arborescence(nodes=n, roots="single" if single else "multiple")


def cases_of(n, single):
    """Ordinary, peaked, tiny and masked weights."""
    masked = legal_masks(n, 40, single)
    return torch.cat([normal(40, n, n), 8 * normal(40, n, n, number=1), masked, masked - 12])


@ROOTS
@SIZES
@DTYPES
def test_quantities_by_enumeration(n, single, dtype, tolerance):
    params = cases_of(n, single).to(dtype)
    _, marginals, log_mass = enumerated(params, single)
    mass = log_mass.exp()
    q = structure(n, single)(params).discrete
    values = trees(n, single)
    got = q.log_prob(values.unsqueeze(1).to(dtype)).T.double().exp()
    assert (got - mass).abs().max() < tolerance
    assert (q.mean.double() - marginals).abs().max() < tolerance
    entropy = torch.special.entr(mass).sum(-1)
    scale = 1 + entropy.abs().max()
    assert (q.entropy().double() - entropy).abs().max() < tolerance * scale
    kl = structure(n, single)(params).kl_to_uniform().double()
    assert (kl - (math.log(len(values)) - entropy)).abs().max() < tolerance * scale
    assert torch.equal(q.mode.double(), values[log_mass.argmax(-1)])


@ROOTS
@SIZES
def test_divergences_by_enumeration(n, single):
    params = cases_of(n, single)
    other = 2 * normal(*params.shape, number=5)
    p, q = (enumerated(x, single)[2] for x in (params, other))
    want = (p.exp() * (p - q).masked_fill(p == -INF, 0.0)).sum(-1)
    trees_of = structure(n, single)
    got = kl_divergence(trees_of(params).discrete, trees_of(other).discrete)
    assert torch.allclose(got, want, rtol=1e-12, atol=1e-12)


def test_a_divergence_from_what_is_excluded_is_infinite():
    trees_of = structure(3, True)
    masked = torch.zeros(3, 3, dtype=torch.float64)
    masked[0, 1] = -INF
    p, q = trees_of(torch.zeros_like(masked)).discrete, trees_of(masked).discrete
    assert kl_divergence(p, q) == INF
    assert kl_divergence(q, p).isfinite()


@ROOTS
@SIZES
def test_values_and_their_number(n, single):
    trees_of = structure(n, single)
    listed = trees_of.enumerate_vertices()
    assert torch.equal(listed.unique(dim=0), trees(n, single))
    assert abs(trees_of.log_cardinality - math.log(len(listed))) < 1e-12
    assert trees_of.vertices.check(listed).all()
    assert trees_of.support.check(listed.mean(0))


@ROOTS
@pytest.mark.parametrize("scale", [1.0, 20.0, 60.0])
def test_marginals_in_numbers_of_400_digits(scale, single):
    for number, n in enumerate((4, 8)):
        params = scale * normal(n, n, number=number)
        for dtype, tolerance in ((torch.float32, 9e-7), (torch.float64, 1e-14)):
            rounded = params.to(dtype)
            want = exact_marginals(rounded, single)
            got = structure(n, single)(rounded).discrete.mean.double()
            assert (got - want).abs().max() < tolerance


@ROOTS
@pytest.mark.parametrize("shift", [-12.0, -50.0, 50.0, 1e4])
def test_columns_sum_to_one_whatever_the_level_of_scores(shift, single):
    params = normal(8, 12, 12) + shift
    for dtype, tolerance in ((torch.float32, 5e-7), (torch.float64, 1e-13)):
        mean = structure(12, single)(params.to(dtype)).discrete.mean
        assert (mean.sum(-2) - 1).abs().max() < tolerance
    if single:
        assert (mean.diagonal(dim1=-2, dim2=-1).sum(-1) - 1).abs().max() < 1e-13


@ROOTS
@pytest.mark.parametrize(
    ("size", "temperature"), [(50, 1.0), (60, 0.01), (1e4, 1e-3), (3, 1e-8), (3, 5e-324)]
)
def test_cold_samples_are_the_hard_ones(size, temperature, single):
    params = size * normal(50, 6, 6)
    q = structure(6, single)(params, temperature)
    soft, hard = q.draw((2,))
    assert soft.isfinite().all()
    assert (soft.sum(-2) - 1).abs().max() < 1e-6
    assert (q.relaxation.hard(soft) == hard).flatten(2).all(-1).float().mean() > 0.95
    if temperature < 1e-2:
        assert (soft - hard).abs().flatten(2).amax(-1).median() < 1e-9


@ROOTS
def test_padding_is_deterministic(single):
    inner = normal(3, 3, number=4)
    params = torch.full((6, 6), -INF, dtype=torch.float64)
    params[:3, :3] = inner
    params[0, 3:] = 0.0  # each node that is not there hangs on node 0
    small, large = structure(3, single)(inner), structure(6, single)(params)
    assert torch.allclose(small.discrete.entropy(), large.discrete.entropy())
    assert torch.allclose(small.discrete.mean, large.discrete.mean[:3, :3])
    tree = large.sample_hard((100,))
    assert (tree[:, 0, 3:] == 1).all()
    assert small.relaxation.vertices.check(tree[:, :3, :3]).all()
    difference = large.discrete.log_prob(tree) - small.discrete.log_prob(tree[:, :3, :3])
    assert difference.abs().max() < 1e-12


def test_one_node():
    for single in (True, False):
        q = structure(1, single)(torch.tensor([[[3.0]], [[-7.0]]]), 0.5)
        assert torch.equal(q.rsample((2,)), torch.ones(2, 2, 1, 1))
        assert torch.equal(q.sample_hard(), torch.ones(2, 1, 1))
        assert q.discrete.entropy().abs().max() < 1e-12
        assert q.discrete.log_prob(torch.ones(1, 1)).abs().max() < 1e-12


@ROOTS
def test_the_mode_has_the_greatest_score(single):
    params = normal(20, 5, 5)
    mode = structure(5, single)(params).discrete.mode
    best = totals(params, trees(5, single)).amax(-1)
    assert torch.allclose(totals(params, mode.unsqueeze(1)).squeeze(-1), best)


def test_it_is_found_by_its_names():
    for name in ("arborescence", "dependency-tree", "directed-tree"):
        assert relaxit.get(name, nodes=4) == Arborescence(nodes=4)
    assert Arborescence.sizes(torch.Size((7, 5, 5))) == {"nodes": 5}
