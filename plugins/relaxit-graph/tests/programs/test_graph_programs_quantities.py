"""Every quantity of the structures of sequences, compared with the sum over all values."""

from __future__ import annotations

import math

import pytest
import torch
from sequence_oracles import (
    ALL,
    INF,
    LONG,
    PERTURBED,
    SOME,
    close,
    dtypes,
    listing,
    normal,
    structure,
)
from torch.distributions import kl_divergence

PRECISION = {torch.float32: 1e-6, torch.float64: 1e-12}
BATCHES = pytest.mark.parametrize("batch", [(), (3,), (2, 3)], ids=str)
KINDS = pytest.mark.parametrize("kind", [0.1, 1, 20, 60, "-12", "+-50", "masked"])


def params_of(relaxation, kind, *batch, dtype=torch.float64, number=7):
    """Params of a kind: a scale of normal numbers, or one of the others."""
    x = normal(*batch, *relaxation.param_shape, number=number)
    if kind == "-12":
        x = torch.full_like(x, -12.0)
    elif kind == "+-50":
        x = 50 * x.sign()
    elif kind == "masked":
        x = listing(relaxation).masked(2 * x, number)
    else:
        x = kind * x
    return x.to(dtype)


# --- values -----------------------------------------------------------------------------------


@ALL
def test_the_values_are_those_of_the_definition(relaxation):
    values = listing(relaxation).values
    listed = relaxation.enumerate_vertices()
    assert sorted(listing(relaxation).index_of(listed).tolist()) == list(range(len(values)))
    assert relaxation.log_cardinality == pytest.approx(math.log(len(values)), abs=1e-12)
    assert bool(relaxation.vertices.check(values).all())
    assert relaxation.event_shape == values.shape[1:]


@ALL
@dtypes
def test_statistics_are_what_params_multiply(relaxation, dtype):
    known = listing(relaxation)
    wanted = known.statistics.reshape(-1, *relaxation.param_shape).to(dtype)
    got = relaxation.statistics(known.values.to(dtype))
    assert got.dtype == dtype
    assert torch.equal(got, wanted)
    assert torch.equal(relaxation.from_statistics(wanted), known.values.to(dtype))


@pytest.mark.parametrize(
    ("name", "options", "number"),
    [
        ("chain", {"length": 10, "states": 7}, 7**10),
        ("segmentation", {"length": 12, "labels": 1, "longest": 12}, 2**11),
        ("segmentation", {"length": 9, "labels": 3, "longest": 9}, 3 * 4**8),
        ("alignment", {"rows": 6, "columns": 6}, 1683),  # central Delannoy numbers
        ("alignment", {"rows": 5, "columns": 9, "moves": "attention"}, math.comb(8, 4)),
        ("projective-tree", {"nodes": 7}, math.comb(19, 6) // 7),  # 1, 2, 7, 30, 143, 728, ...
    ],
)
def test_numbers_of_values_that_are_known(name, options, number):
    assert structure(name, options).log_cardinality == pytest.approx(math.log(number), abs=1e-11)


@ALL
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, *LONG])
def test_the_support_is_the_hull(relaxation, dtype):
    values = listing(relaxation).values
    inside = torch.tensordot((2 * normal(30, len(values))).softmax(-1), values, 1).to(dtype)
    soft = relaxation(3 * normal(30, *relaxation.param_shape, dtype=dtype), 0.5).rsample()
    assert bool(relaxation.support.check(torch.cat([inside, soft, values.to(dtype)])).all())
    flat = values.flatten(1)
    least, most = flat.amin(0).argmin(), flat.amax(0).argmax()
    for entry, moved in ((least, flat.amin(0)[least] - 0.1), (most, flat.amax(0)[most] + 0.1)):
        outside = inside.flatten(1).clone()
        outside[:, entry] = moved
        assert not bool(relaxation.support.check(outside.reshape(inside.shape)).any())


# --- quantities -------------------------------------------------------------------------------


@ALL
@KINDS
@dtypes
def test_masses(relaxation, kind, dtype):
    known, params = listing(relaxation), params_of(relaxation, kind, 3, dtype=dtype)
    q = relaxation.discrete(params)
    close(q.log_partition(), known.log_partition(params), 1e-12)
    mass = q.log_prob(known.values.to(dtype).unsqueeze(1))
    assert mass.dtype == dtype
    close(mass, known.log_masses(params).mT, PRECISION[dtype])


@ALL
@KINDS
@dtypes
def test_mean_and_mode(relaxation, kind, dtype):
    known, params = listing(relaxation), params_of(relaxation, kind, 3, dtype=dtype)
    q = relaxation.discrete(params)
    close(q.mean, known.mean(params), PRECISION[dtype])
    scores = known.scores(params)
    chosen = known.index_of(q.mode.double())
    close(scores.gather(-1, chosen.unsqueeze(-1)), scores.amax(-1, keepdim=True), 1e-12)
    assert q.mean.dtype == q.mode.dtype == dtype


@ALL
@KINDS
@dtypes
def test_entropy_and_divergences(relaxation, kind, dtype):
    known, params = listing(relaxation), params_of(relaxation, kind, 3, dtype=dtype)
    other = params_of(relaxation, 1, 3, dtype=dtype, number=8)
    q, p = relaxation.discrete(params), relaxation.discrete(other)
    # Differences of numbers as large as params.
    within = max(PRECISION[dtype], 1e-12 * float(params.nan_to_num(neginf=0.0).abs().max()))
    close(q.entropy(), known.entropy(params), within)
    close(kl_divergence(q, p), known.kl(params, other), within)
    close(kl_divergence(p, q), known.kl(other, params), within)  # infinite if q is masked
    close(kl_divergence(q, q), torch.zeros(3), within)
    zeros = torch.zeros_like(params)
    close(relaxation(params).kl_to_uniform(), known.kl(params, zeros), within)


def test_divergence_from_what_excludes_a_value_is_infinite():
    chain = structure("chain", {"length": 2, "states": 2})
    free, masked = torch.zeros(8), torch.tensor([0.0, -INF, 0, 0, 0, 0, 0, 0])
    assert float(kl_divergence(chain.discrete(free), chain.discrete(masked))) == INF
    assert float(kl_divergence(chain.discrete(masked), chain.discrete(free))) == pytest.approx(
        math.log(2)
    )


@PERTURBED
@KINDS
@pytest.mark.parametrize("temperature", [0.3, 1.0, 5.0])
def test_relax_is_the_mean_at_scores_over_the_temperature(relaxation, kind, temperature):
    scores = params_of(relaxation, kind, 3)
    wanted = listing(relaxation).mean(scores / temperature)
    close(relaxation.relax(scores, temperature), wanted, 1e-11)


@PERTURBED
def test_each_row_has_its_temperature(relaxation):
    scores = params_of(relaxation, 1, 3)
    temperatures = torch.tensor([0.2, 1.0, 4.0]).reshape(3, *(1,) * len(relaxation.param_shape))
    wanted = listing(relaxation).mean(scores / temperatures)
    close(relaxation.relax(scores, temperatures), wanted, 1e-6)


@PERTURBED
@KINDS
def test_argmax_has_the_highest_score(relaxation, kind):
    known, scores = listing(relaxation), params_of(relaxation, kind, 3)
    chosen = known.index_of(relaxation.argmax(scores))
    total = known.scores(scores)
    close(total.gather(-1, chosen.unsqueeze(-1)), total.amax(-1, keepdim=True), 1e-12)


@ALL
@pytest.mark.parametrize("dtype", [torch.bfloat16, *LONG])
def test_hard_is_the_nearest_value(relaxation, dtype):
    known = listing(relaxation)
    shares = (5 * normal(20, len(known.values))).softmax(-1)
    soft = torch.tensordot(shares, known.values, 1).to(dtype)
    hard = relaxation.hard(soft)
    assert hard.dtype == dtype
    known.index_of(hard.double())  # it is a value
    rank = len(relaxation.event_shape)
    distances = (soft.double().unsqueeze(-1 - rank) - known.values).square().flatten(-rank).sum(-1)
    got = (soft.double() - hard.double()).square().flatten(-rank).sum(-1)
    close(got, distances.amin(-1), 1e-12)


# --- batches ----------------------------------------------------------------------------------


@ALL
@BATCHES
def test_batches(relaxation, batch):
    known, params = listing(relaxation), params_of(relaxation, 1, *batch)
    q = relaxation.discrete(params)
    close(q.mean, known.mean(params))
    close(q.entropy(), known.entropy(params))
    close(relaxation(params).kl_to_uniform(), known.kl(params, torch.zeros_like(params)))
    assert q.mode.shape == batch + relaxation.event_shape
    assert relaxation(params).rsample((5,)).shape == (5, *batch, *relaxation.event_shape)


@SOME
def test_a_batch_of_no_rows(relaxation):
    q = relaxation.discrete(torch.zeros(0, *relaxation.param_shape))
    assert q.mean.shape == q.mode.shape == (0, *relaxation.event_shape)
    assert q.entropy().shape == q.log_partition().shape == (0,)
    assert q.sample((2,)).shape == (2, 0, *relaxation.event_shape)


@SOME
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_short_dtypes_are_rounded_at_the_end(relaxation, dtype):
    params = params_of(relaxation, 1, 3, dtype=dtype)
    q, wide = relaxation.discrete(params), relaxation.discrete(params.double())
    assert torch.equal(q.mean, wide.mean.to(dtype))
    assert torch.equal(q.entropy(), wide.entropy().float())
