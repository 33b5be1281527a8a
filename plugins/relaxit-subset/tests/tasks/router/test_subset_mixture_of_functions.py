"""The data set `mixture-of-functions`: always the same, its noise, and its regions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from relaxit_subset.tasks.router.mixture_of_functions import (
    FUNCTIONS,
    PAIRS,
    MixtureOfFunctions,
    functions_of,
    nearest,
)


@pytest.fixture(scope="module")
def loaded():
    return MixtureOfFunctions().load(Path())


def test_is_always_the_same_and_disturbs_no_generator(loaded):
    before = torch.get_rng_state()
    again = MixtureOfFunctions().load(Path("elsewhere"), download=True)
    assert torch.equal(torch.get_rng_state(), before)
    for name in ("inputs", "targets", "regions"):
        assert torch.equal(loaded.train[name], again.train[name])
        assert torch.equal(loaded.test[name], again.test[name])


@pytest.mark.parametrize("noise", [0.2, 1.0])
def test_the_least_error_is_the_variance_of_the_noise(noise):
    exact = MixtureOfFunctions(noise=0.0).load(Path())
    noisy = MixtureOfFunctions(noise=noise).load(Path())
    assert torch.equal(exact.train.inputs, noisy.train.inputs)
    rest = (noisy.train.targets - exact.train.targets).double()
    # 32 000 numbers: five standard errors of the variance, a false alarm in 10^6 seeds.
    assert float(rest.square().mean()) == pytest.approx(noise**2, rel=5 * (2 / rest.numel()) ** 0.5)
    assert 0.5 < float(exact.train.targets.var()) < 2


def test_each_function_is_in_three_regions_and_no_pair_occurs_twice(loaded):
    assert sorted(sum(PAIRS, ())) == sorted([*range(FUNCTIONS)] * 3)
    assert len({frozenset(pair) for pair in PAIRS}) == len(PAIRS)
    counts = loaded.train["regions"].bincount()
    assert len(counts) == len(PAIRS)
    assert int(counts.min()) > 0.5 * len(loaded.train) / len(PAIRS)


def test_the_nearest_centre_and_the_functions_by_hand():
    x, centres = torch.randn(20, 3), torch.randn(4, 3)
    first, last = torch.randn(5, 3, 6), torch.randn(5, 6, 2)
    values = functions_of(x, first, last)
    for row, found, value in zip(x, nearest(x, centres), values, strict=True):
        assert int(found) == min(range(4), key=lambda c: float((row - centres[c]).norm()))
        for f in range(5):
            torch.testing.assert_close(value[f], torch.tanh(row @ first[f]) @ last[f] / 2)
