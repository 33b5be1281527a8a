"""Samples occur as often as their mass says. Each comparison has false-alarm rate 2e-5."""

from __future__ import annotations

import pytest
import torch
from sequence_oracles import ALL, PERTURBED, SOME, dtypes, listing, normal, seed

import relaxit
from relaxit.testing import count_values, wrong_frequencies, wrong_mean

DRAWS = 20_000


def compared(relaxation, params, drawn):
    """What is wrong with draws ``[M, rows, *event]`` of rows of params."""
    known = listing(relaxation)
    mass = known.log_masses(params).exp()
    return [
        wrong_frequencies(count_values(drawn[:, row].double(), known.values), mass[row])
        for row in range(len(params))
    ]


def params_of(relaxation, masked, dtype=torch.float64):
    params = normal(2, *relaxation.param_shape)
    return (listing(relaxation).masked(params, 4) if masked else params).to(dtype)


@ALL
@pytest.mark.parametrize("masked", [False, True])
def test_samples_follow_the_mass(relaxation, masked):
    params = params_of(relaxation, masked)
    drawn = relaxation.discrete(params).sample((DRAWS,), generator=seed(1))
    assert compared(relaxation, params, drawn) == ["", ""]


@SOME
@dtypes
def test_samples_of_a_distribution_and_its_hard_samples_are_those(relaxation, dtype):
    params = params_of(relaxation, True, dtype)
    drawn = relaxation(params).sample_hard((DRAWS,), generator=seed(2))
    assert drawn.dtype == dtype
    assert compared(relaxation, params, drawn) == ["", ""]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("temperature", [0.1, 5.0])
def test_hard_samples_of_the_gumbel_crf_are_exact(masked, temperature):
    crf = relaxit.get("gumbel-crf", length=3, states=3)
    params = params_of(crf, masked)
    soft, hard = crf(params, temperature).draw((DRAWS,), generator=seed(3))
    assert compared(crf, params, hard) == ["", ""]
    assert torch.equal(crf.hard(soft), hard)


@PERTURBED
def test_hard_samples_of_draws_are_the_argmax_of_perturbed_scores(relaxation):
    params = normal(2, *relaxation.param_shape)
    soft, hard = relaxation(params, 0.5).draw((50,), generator=seed(4))
    scores = relaxation.perturb(params, torch.Size((50,)), seed(4))
    known = listing(relaxation)
    total = known.scores(scores)
    assert torch.equal(known.index_of(hard), total.argmax(-1))
    torch.testing.assert_close(soft, known.mean(scores / 0.5), rtol=0, atol=1e-11)


@SOME
def test_samples_are_independent(relaxation):
    """The product of two is, on average, that of their means."""
    params = 0.2 * params_of(relaxation, False)
    drawn = relaxation.discrete(params).sample((2, DRAWS), generator=seed(5)).flatten(3)
    mean = listing(relaxation).mean(params).flatten(1)
    frequent = (mean > 0.03).all(0)  # products of others are too rare for a normal distribution
    drawn, mean = drawn[..., frequent], mean[:, frequent]
    assert not wrong_mean(drawn[0, :, 0] * drawn[1, :, 0], mean[0].square())
    assert not wrong_mean(drawn[0, :, 0] * drawn[0, :, 1], mean[0] * mean[1])


@SOME
def test_generators(relaxation):
    q = relaxation.discrete(params_of(relaxation, False))
    one, again, other = (q.sample((50,), generator=seed(n)) for n in (6, 6, 7))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    torch.manual_seed(8)
    first = q.sample((50,))
    assert not torch.equal(first, q.sample((50,)))
    torch.manual_seed(8)
    assert torch.equal(first, q.sample((50,)))
