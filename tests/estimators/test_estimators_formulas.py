"""Gradients through draws equal the formulas of the papers; a bit equals two categories."""

from __future__ import annotations

import pytest
import torch

import relaxit
from tests.estimators.costs import power_cost
from tests.estimators.draw_estimators import (
    BINARY,
    GROUND,
    WITH_NOISE,
    WITHOUT_NOISE,
    built,
    drawn,
    same_mean,
    slope_given,
    upstream,
)
from tests.estimators.formulas import formula
from tests.helpers import params_for


@GROUND
@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
@pytest.mark.parametrize("name", [*WITHOUT_NOISE, *WITH_NOISE])
def test_formulas(relaxation, name, temperature):
    params, cost = params_for(relaxation, 30), power_cost(relaxation, 3)
    hard = drawn(relaxation, params)
    g = upstream(cost, hard)
    got = slope_given(built(name), relaxation, params, hard, cost, temperature, number=4)
    want = formula(name, relaxation, params, hard, g, temperature, number=4)
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-11)


EXACT = pytest.mark.parametrize("name", WITHOUT_NOISE)
NOISY = pytest.mark.parametrize("name", WITH_NOISE)


def as_two_categories(bits):
    two = relaxit.get("categorical", categories=2)
    logits = torch.stack([bits, torch.zeros_like(bits)], -1)
    return two, logits


@EXACT
@pytest.mark.parametrize("temperature", [0.6, 1.0])
def test_a_bit_is_a_choice_between_two(name, temperature):
    logits = params_for(BINARY, 60)
    bits = drawn(BINARY, logits)
    two, pairs = as_two_categories(logits)
    hard = torch.stack([bits, 1 - bits], -1)
    one = slope_given(built(name), BINARY, logits, bits, lambda z: (z - 0.3) ** 3, temperature)
    other = slope_given(
        built(name), two, pairs, hard, lambda z: (z[..., 0] - 0.3) ** 3, temperature
    )
    torch.testing.assert_close(other[:, 0], one, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(other[:, 1], -one, rtol=1e-9, atol=1e-12)


@NOISY
def test_a_bit_is_a_choice_between_two_in_the_mean(name):
    logits = torch.tensor(0.7).double().expand(30_000)
    two, pairs = as_two_categories(logits)
    for bit in (0.0, 1.0):
        bits = torch.full_like(logits, bit)
        hard = torch.stack([bits, 1 - bits], -1)
        one = slope_given(built(name), BINARY, logits, bits, lambda z: 2 * z, 0.7)
        other = slope_given(built(name), two, pairs, hard, lambda z: 2 * z[..., 0], 0.7, number=2)
        assert same_mean(one.unsqueeze(-1), other[:, :1])
