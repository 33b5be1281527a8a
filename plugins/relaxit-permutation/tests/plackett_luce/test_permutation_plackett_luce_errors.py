"""Bad input to Plackett-Luce: a typed error of one line each."""

from __future__ import annotations

import math

import pytest
import torch

from relaxit.errors import ConfigurationError, DomainError, ShapeError, Unsupported
from relaxit_permutation.plackett_luce.permutation_plackett_luce import PermutationPlackettLuce


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n": 0}, r"n must be at least 1, got 0"),
        ({"n": -2}, r"n must be at least 1, got -2"),
        ({"n": 2.5}, r"n must be an integer, got .*2\.5"),
        ({"n": True}, r"n must be an integer, got .*True"),
        ({}, r"n"),
        ({"n": 3, "relaxation": "bubble"}, r"relaxation must be 'softsort' or 'neuralsort', got"),
        ({"n": 3, "relaxation": "sinkhorn"}, r"relaxation must be .*, got 'sinkhorn'"),
        ({"n": 3, "k": 1}, r"k"),
    ],
    ids=str,
)
def test_options(options, said):
    with pytest.raises(ConfigurationError, match=said) as found:
        PermutationPlackettLuce(**options)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_scores_must_be_finite_or_pads(wrong):
    structure = PermutationPlackettLuce(n=3)
    rows = torch.tensor([[0.0, 1.0, 2.0], [0.0, wrong, 1.0]])
    with pytest.raises(
        DomainError, match=r"^permutation-plackett-luce: illegal params in 1 of 2 .*NaN or \+inf"
    ):
        structure(rows)
    assert structure(rows.nan_to_num(nan=-math.inf, posinf=-math.inf)).batch_shape == (2,)


@pytest.mark.parametrize("shape", [(), (3,), (5,), (4, 3)])
def test_wrong_shapes(shape):
    with pytest.raises(ShapeError, match=r"^permutation-plackett-luce.*4") as found:
        PermutationPlackettLuce(n=4)(torch.zeros(shape))
    assert str(list(shape)) in str(found.value)
    q = PermutationPlackettLuce(n=4)(torch.zeros(4))
    for call in (q.discrete.log_prob, q.hard):
        with pytest.raises(ShapeError, match=r"\[2, 4, 5\]"):
            call(torch.zeros(2, 4, 5))


def test_quantities_that_do_not_exist():
    q = PermutationPlackettLuce(n=13)(torch.zeros(13))
    soft = q.rsample()
    for ask in (lambda: q.log_prob(soft), lambda: q.log_space):
        with pytest.raises(Unsupported, match="permutation-plackett-luce"):
            ask()
    with pytest.raises(Unsupported, match=r"entropy of n = 13 .*2\^13 .*12.*entropy_estimate"):
        q.discrete.entropy()
    with pytest.raises(Unsupported, match=r"divergence of n = 13 .*2\^13 .*12.*kl_estimate"):
        torch.distributions.kl_divergence(q.discrete, q.discrete)
    with pytest.raises(Unsupported, match=r"n = 9 .*n = 8, 40320"):
        PermutationPlackettLuce(n=9).enumerate_vertices()
    assert len(PermutationPlackettLuce(n=7).enumerate_vertices()) == 5040


@pytest.mark.parametrize("samples", [1, 0, -3])
def test_too_few_samples(samples):
    distribution = PermutationPlackettLuce(n=3).discrete(torch.zeros(3))
    for call in (
        lambda: distribution.entropy_estimate(samples),
        lambda: distribution.kl_estimate(distribution, samples),
    ):
        with pytest.raises(DomainError, match=rf"2 samples, got {samples}"):
            call()


def test_estimate_between_different_relaxations():
    one, two = (
        PermutationPlackettLuce(n=3, relaxation=each).discrete(torch.zeros(3))
        for each in ("softsort", "neuralsort")
    )
    with pytest.raises(Unsupported, match=r"softsort.*neuralsort"):
        one.kl_estimate(two)
