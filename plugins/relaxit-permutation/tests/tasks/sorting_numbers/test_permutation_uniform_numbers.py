"""The data set `numbers`: always the same, all different, uniform, no number in both parts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from scipy import stats

from relaxit.cli.app import run
from relaxit_permutation.tasks.sorting_numbers.uniform_numbers import UniformNumbers


@pytest.fixture(scope="module")
def data():
    return UniformNumbers().load(Path())


def test_is_always_the_same_and_disturbs_no_generator(data):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    again = UniformNumbers().load(Path("elsewhere"), download=True)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(data.train.inputs, again.train.inputs)
    assert torch.equal(data.test.inputs, again.test.inputs)


def test_no_two_are_equal_nor_so_near_that_scores_cannot_tell_them(data):
    numbers = torch.cat([data.train.inputs, data.test.inputs])
    values = numbers.double().sort().values
    assert float(values.diff().min()) == 2.0**-17
    assert float(values[0]) >= 0
    assert float(values[-1]) < 1


@pytest.mark.parametrize("part", ["train", "test"])
def test_numbers_are_uniform_and_in_no_order(data, part):
    x = data.part(part).inputs.numpy()
    assert stats.kstest(x, "uniform").pvalue > 1e-4
    # Lists of five: each place of a list has the same distribution, whatever its neighbours.
    lists = x[: len(x) // 5 * 5].reshape(-1, 5)
    assert stats.kstest(lists.max(-1) ** 5, "uniform").pvalue > 1e-4
    assert abs(stats.spearmanr(x[:-1], x[1:]).statistic) < 4 / len(x) ** 0.5


def test_is_listed(capsys):
    assert run(["list"]) == 0
    assert "numbers" in capsys.readouterr().out
