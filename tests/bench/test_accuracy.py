"""Errors that are known, and results that cannot be compared."""

import pytest
import torch

from relaxit.bench.accuracy import deviation_of
from relaxit.errors import ShapeError

INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    ("result", "right", "absolute", "relative", "not_finite"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0, 0.0, 0),
        ([1.0, 3.0], [1.0, -4.0], 7.0, 1.75, 0),
        ([0.5, 0.0], [0.0, 0.0], 0.5, None, 0),
        ([-INF, 2.0], [-INF, 1.0], 1.0, 1.0, 0),  # a mass of zero, and both say so
        ([NAN, 1.5], [2.0, 1.0], 0.5, 0.25, 1),
        ([INF, 1.0], [-INF, 1.0], 0.0, 0.0, 1),
        ([3.0, 1.0], [-INF, 1.0], 0.0, 0.0, 1),
        ([], [], 0.0, None, 0),
    ],
)
def test_known_errors(result, right, absolute, relative, not_finite):
    error = deviation_of(torch.tensor(result), torch.tensor(right).double())
    assert (error.absolute, error.relative, error.not_finite) == (absolute, relative, not_finite)


def test_of_several_tensors_the_largest():
    one, other = torch.tensor([10.0]), torch.tensor([1.0, 1.0])
    error = deviation_of((one + 1, other + 0.5), (one, other))
    assert (error.absolute, error.relative) == (1.0, 0.5)


def test_float32_is_compared_in_float64():
    assert (
        deviation_of(torch.tensor(1.0), torch.tensor(1 + 1e-12, dtype=torch.float64)).absolute > 0
    )


@pytest.mark.parametrize("result", [torch.zeros(1), torch.zeros(2, 1), (torch.zeros(2),) * 2])
def test_other_shapes_do_not_broadcast(result):
    with pytest.raises(ShapeError, match="the result has shapes"):
        deviation_of(result, torch.zeros(2))
