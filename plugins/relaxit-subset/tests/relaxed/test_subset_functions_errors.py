"""Bad arguments of the functions: one line each, with the name and the value."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from subset_helpers import INF, close

import relaxit
from relaxit import ConfigurationError, DomainError, ShapeError, UnknownName, Unsupported
from relaxit_subset import Subset, SubsetPlackettLuce, sample_subset, soft_topk

BOTH = pytest.mark.parametrize("function", [soft_topk, sample_subset])
X = torch.zeros(3, 4)


@BOTH
@pytest.mark.parametrize(
    ("arguments", "options", "error", "said"),
    [
        ((X.long(), 2), {}, TypeError, "floating-point tensor, got torch.int64"),
        (([1.0, 2.0], 1), {}, TypeError, "floating-point tensor, got list"),
        ((X, 5), {}, ConfigurationError, "k must be from 0 to 4, .* got 5"),
        ((X, 4), {"dim": 0}, ConfigurationError, "k must be from 0 to 3, .* dimension 0, got 4"),
        ((X, -1), {}, ConfigurationError, "got -1"),
        ((X, 2.0), {}, TypeError, "k must be an integer, got 2.0"),
        ((X, True), {}, TypeError, "k must be an integer, got True"),
        ((X, "two"), {}, TypeError, "got 'two'"),
        ((X, torch.tensor(2)), {}, TypeError, "k must be an integer"),
        ((X, np.float32(2)), {}, TypeError, "k must be an integer"),
        ((X, np.bool_(True)), {}, TypeError, "k must be an integer"),
        ((X, None), {}, TypeError, "k must be an integer, got None"),
        ((X, np.int64(5)), {}, ConfigurationError, "k must be from 0 to 4, .* got 5"),
        ((torch.zeros(3, 0), 0), {}, ShapeError, r"no entries in .* \[3, 0\]"),
        ((torch.zeros(()), 0), {}, ShapeError, r"no entries in .* \[\]"),
        ((X, 2), {"dim": 2}, IndexError, "ange"),
        ((X, 2, 0.0), {}, DomainError, "temperature"),
        ((X, 2, math.nan), {}, DomainError, "temperature"),
        ((X, 2, "hot"), {}, TypeError, "temperature"),
        ((X, 2, True), {}, TypeError, "temperature must be a number or tensor, got True"),
        ((X.to(torch.float8_e4m3fn), 2), {}, Unsupported, "float8_e4m3fn are not supported"),
        ((X, 2, torch.tensor([1.0, -1.0, 1.0])), {}, DomainError, "temperature"),
        ((X, 2, torch.ones(2)), {}, ShapeError, r"temperature of shape \[2\]"),
        ((X, 2, torch.ones(3, 4)), {}, ShapeError, r"temperature of shape \[3, 4\]"),
        ((X + math.nan, 2), {}, DomainError, "3 of 3"),
        ((torch.full((4,), INF), 2), {}, DomainError, "more than k = 2"),
        ((X, 2), {"mask": torch.ones(3, 4)}, TypeError, "mask must be a bool tensor"),
        ((X, 2), {"mask": torch.ones(3, dtype=torch.bool)}, ShapeError, r"mask of shape \[3\]"),
        ((X, 2), {"mask": torch.arange(4) < 1}, DomainError, "fewer than k = 2"),
    ],
)  # fmt: skip
def test_each_is_a_typed_line(function, arguments, options, error, said):
    with pytest.raises(error, match=said) as found:
        function(*arguments, **options)
    message = str(found.value)
    assert "\n" not in message
    assert "params" not in message  # no argument has this name
    if error is not IndexError:  # which is torch's own
        assert message.startswith(f"{function.__name__}: ")


@pytest.mark.parametrize("distribution", ["subset", "subset-plackett-luce", "object"])
def test_each_names_the_function_whatever_the_distribution(distribution):
    given = Subset(n=4, k=2) if distribution == "object" else distribution
    for logits, temperature, said in [
        (X + math.nan, 1.0, "illegal logits in 3 of 3 .*NaN"),
        (X, math.inf, "temperature must be finite and > 0, got inf"),
        (X, torch.zeros(3), "temperature must be finite and > 0 everywhere"),
        (X, torch.ones(2), "temperature of shape .* expand logits first"),
    ]:
        with pytest.raises(ConfigurationError, match=f"^sample_subset: {said}"):
            sample_subset(logits, 2, temperature, distribution=given)


@BOTH
@pytest.mark.parametrize("integer", [np.int64, np.int8, np.uint16, np.array])
def test_integers_of_numpy(function, integer):
    for k in range(5):
        torch.manual_seed(1)
        want = function(X, k)
        torch.manual_seed(1)
        assert torch.equal(function(X, integer(k)), want)


@pytest.mark.parametrize(
    ("distribution", "theirs"),
    [
        (Subset(n=4, k=3), 3),
        (SubsetPlackettLuce(n=4, k=1), 1),
        (relaxit.get("categorical", categories=4), None),
        (relaxit.get("binary"), None),
    ],
    ids=str,
)
@pytest.mark.parametrize("hard", [False, True])
def test_distributions_with_another_k(distribution, theirs, hard):
    said = f"^sample_subset: k is 2, but .*'{distribution.name}' has the option k={theirs}; pass"
    with pytest.raises(ConfigurationError, match=said):
        sample_subset(X, 2, hard=hard, distribution=distribution)
    if theirs is not None:
        z = sample_subset(X, theirs, hard=hard, distribution=distribution)
        close(z.sum(-1), torch.full((3,), float(theirs)), 1e-5)


def test_distribution_with_another_n():
    with pytest.raises(ShapeError, match=r"^sample_subset: logits must be \[\*, 5\], got \[3, 4\]"):
        sample_subset(X, 2, distribution=Subset(n=5, k=2))


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"estimator": "simple"}, ConfigurationError, "'simple' .* pass hard=True"),
        ({"estimator": relaxit.estimator("imle")}, ConfigurationError, "pass hard=True"),
        ({"estimator": "pathwise", "hard": True}, ConfigurationError, "omit hard=True"),
        ({"estimator": "rloo", "hard": True}, Unsupported, "rloo"),
        ({"estimator": "reinmax", "hard": True}, Unsupported, "reinmax"),
        ({"estimator": "simpel", "hard": True}, UnknownName, "simple"),
        ({"distribution": "subsett"}, UnknownName, "subset"),
        ({"distribution": "categorical"}, ConfigurationError, "no option k"),
    ],
)
def test_estimators_and_distributions_that_do_not_fit(options, error, said):
    with pytest.raises(error, match=said) as found:
        sample_subset(X, 2, **options)
    assert "\n" not in str(found.value)
