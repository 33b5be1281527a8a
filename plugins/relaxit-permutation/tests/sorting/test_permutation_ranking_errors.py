"""Bad input to the functions that sort plain values: a typed error of one line each."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch

from relaxit.errors import ConfigurationError, DomainError, RelaxitError, ShapeError
from relaxit_permutation.sorting.ranking import hard_permutation, rank, soft_permutation, sort, topk

HELPERS = pytest.mark.parametrize(
    "helper",
    [soft_permutation, sort, rank, lambda v, *a, **b: topk(v, 1, *a, **b)],
    ids=["soft_permutation", "sort", "rank", "topk"],  # the same in every process
)


@HELPERS
@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf, torch.tensor([1.0, 0.0])])
def test_temperature(helper, temperature):
    with pytest.raises(DomainError, match="temperature must be finite and > 0"):
        helper(torch.zeros(2, 3), temperature)


@HELPERS
@pytest.mark.parametrize("temperature", ["1", None, True, 1j])
def test_temperature_that_is_not_a_number(helper, temperature):
    with pytest.raises(TypeError, match="temperature must be a number or tensor, got"):
        helper(torch.zeros(2, 3), temperature)


@HELPERS
def test_temperature_of_a_wrong_shape(helper):
    with pytest.raises(ShapeError, match=r"\[3\].*\[2\]"):
        helper(torch.zeros(2, 3), torch.ones(3))
    with pytest.raises(ShapeError, match=r"\[2, 3\].*size 1 at dimension -1"):
        helper(torch.zeros(2, 3), torch.ones(2, 3))
    assert helper(torch.zeros(2, 3), np.float32(0.5)) is not None


@HELPERS
@pytest.mark.parametrize(
    ("values", "kind", "said"),
    [
        (torch.arange(3), TypeError, "floating-point tensor, got torch.int64"),
        ([1.0, 2.0], TypeError, "floating-point tensor, got list"),
        (torch.tensor(1.0), ShapeError, r"\[\*, n\] with n >= 1, got \[\]"),
        (torch.zeros(2, 0), ShapeError, r"n >= 1, got \[2, 0\]"),
        (torch.tensor([0.0, math.nan]), DomainError, "finite"),
        (torch.tensor([0.0, math.inf]), DomainError, "finite"),
    ],
    ids=str,
)
def test_values(helper, values, kind, said):
    for call in (lambda: helper(values, 1.0), lambda: hard_permutation(values)):
        with pytest.raises(kind, match=said) as found:
            call()
        assert isinstance(found.value, RelaxitError | TypeError)
        assert "\n" not in str(found.value)


@HELPERS
def test_masks(helper):
    x = torch.zeros(2, 3)
    for call in (helper, lambda v, t, **given: hard_permutation(v, **given)):
        with pytest.raises(TypeError, match="mask must be a bool tensor"):
            call(x, 1.0, mask=torch.ones(2, 3))
        with pytest.raises(ShapeError, match=r"\[2\].*\[2, 3\]"):
            call(x, 1.0, mask=torch.ones(2, dtype=torch.bool))
        with pytest.raises(IndexError, match=r"expected to be in range of \[-2, 1\], but got 2"):
            call(x, 1.0, dim=2)


@HELPERS
def test_unknown_relaxation(helper):
    with pytest.raises(
        ConfigurationError, match=r"'bubble'\. Known: softsort, neuralsort, sinkhorn"
    ):
        helper(torch.zeros(3), 1.0, "bubble")


@pytest.mark.parametrize("k", [0, -1, 4, 2.0, True, "2", None, torch.tensor(2)])
@pytest.mark.parametrize("relaxation", ["softsort", "neuralsort", "sinkhorn"])
def test_k(k, relaxation):
    kind, said = TypeError, "an integer"
    if type(k) is int:
        kind, said = DomainError, "between 1 and n = 3"
    with pytest.raises(kind, match=re.escape(f"topk: k must be {said}, got {k!r}")):
        topk(torch.zeros(2, 3), k, 1.0, relaxation)
    assert topk(torch.zeros(2, 3), 3, 1.0, relaxation).values.shape == (2, 3)
