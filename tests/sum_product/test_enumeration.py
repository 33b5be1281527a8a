"""All values of a structure are listed, once each, from its log-partition function."""

from __future__ import annotations

import pytest
import torch

from relaxit import Unsupported
from relaxit.sum_product import SumProduct, log_sum
from relaxit.sum_product.enumeration import MOST_VALUES, statistics_of_all_values
from tests.sum_product.structures import STRUCTURES, Twice, params_for, statistics_of, values_of


def rows(tensor):
    return sorted(map(tuple, tensor.reshape(len(tensor), -1).tolist()))


@pytest.mark.parametrize("relaxation", STRUCTURES, ids=repr)
def test_values_are_listed_once(relaxation):
    listed = relaxation.enumerate_vertices()
    assert rows(listed) == rows(values_of(relaxation))
    statistics = statistics_of_all_values(
        lambda x: relaxation.log_partition(x, log_sum), relaxation.param_shape
    )
    assert rows(statistics) == rows(statistics_of(relaxation))


@pytest.mark.parametrize("relaxation", STRUCTURES, ids=repr)
def test_the_list_does_not_depend_on_params(relaxation):
    q = relaxation.discrete(params_for(relaxation, 2, masked=True, scale=50.0, dtype=torch.float32))
    assert q.has_enumerate_support
    listed = q.enumerate_support()
    assert listed.shape == (len(values_of(relaxation)), 2, *relaxation.event_shape)
    assert listed.dtype == torch.float32
    assert rows(listed[:, 1].double()) == rows(values_of(relaxation))


class Cube(SumProduct):
    """Independent bits, which have many values."""

    api, name = 1, "test-bits-apart"
    param_shape = event_shape = torch.Size([15])

    def log_partition(self, scores, plus):
        return plus(torch.stack([torch.zeros_like(scores), scores]), 0).sum(-1)


def test_many_values():
    listed = statistics_of_all_values(
        lambda x: torch.nn.functional.softplus(x).sum(-1), torch.Size([12])
    )
    assert len(torch.unique(listed, dim=0)) == len(listed) == 2**12


def test_too_many_values():
    assert 2**14 < MOST_VALUES < 2**15
    q = Cube().discrete(torch.zeros(15))
    with pytest.raises(Unsupported) as error:
        q.enumerate_support()
    text = str(error.value)
    assert text.startswith("test-bits-apart: ")
    assert "exp(10.4) values, too many to list" in text
    assert "\n" not in text
    assert not q.has_enumerate_support


def test_statistics_that_are_counted_twice():
    with pytest.raises(Unsupported, match="a statistic of a value is larger than 1"):
        Twice().enumerate_vertices()
