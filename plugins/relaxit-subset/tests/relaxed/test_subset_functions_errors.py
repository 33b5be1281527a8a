"""Bad arguments of the functions: one line each, with the name and the value; and transforms."""

from __future__ import annotations

import math

import pytest
import torch
from subset_helpers import INF, close, normal, seed

import relaxit
from relaxit import ConfigurationError, DomainError, ShapeError, UnknownName, Unsupported
from relaxit_subset import sample_subset, soft_topk

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
        ((torch.zeros(3, 0), 0), {}, ShapeError, r"no entries in .* \[3, 0\]"),
        ((torch.zeros(()), 0), {}, ShapeError, r"no entries in .* \[\]"),
        ((X, 2), {"dim": 2}, IndexError, "ange"),
        ((X, 2, 0.0), {}, DomainError, "temperature"),
        ((X, 2, math.nan), {}, DomainError, "temperature"),
        ((X, 2, "hot"), {}, TypeError, "temperature"),
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
    assert "\n" not in str(found.value)


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
        ({"distribution": "categorical"}, ConfigurationError, "k: "),
    ],
)
def test_estimators_and_distributions_that_do_not_fit(options, error, said):
    with pytest.raises(error, match=said) as found:
        sample_subset(X, 2, **options)
    assert "\n" not in str(found.value)


@BOTH
@pytest.mark.parametrize("shape", [(0, 4), (2, 0, 4)])
def test_empty_batches(function, shape):
    assert function(torch.zeros(shape), 2).shape == shape


@BOTH
def test_autocast_changes_nothing(function):
    logits = normal(3, 5).float()
    torch.manual_seed(1)
    want = function(logits, 2, 0.5)
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        got = function(logits, 2, 0.5)
    assert torch.equal(got, want)


def test_vmap_and_forward_mode():
    scores, vector = normal(3, 5), normal(3, 5, number=2)

    def function(s):
        return soft_topk(s, 2, 0.5)

    close(torch.func.vmap(function)(scores), function(scores), 1e-14)
    tangent = torch.func.jvp(function, (scores,), (vector,))[1]
    jacobian = torch.autograd.functional.jacobian(function, scores)
    close(tangent, (jacobian * vector).sum((-2, -1)), 1e-13)


@pytest.mark.parametrize("hard", [False, True])
def test_compiled_in_one_graph(hard):
    def function(s, mask):
        z = sample_subset(s, 2, 0.5, hard=hard, dim=1, mask=mask)
        return z + soft_topk(s, 2, 0.5, dim=1, mask=mask)

    scores, mask = normal(3, 5, 2).requires_grad_(), torch.ones(5, 1, dtype=torch.bool)
    torch.compiler.reset()
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    found = []
    for call in (compiled, function):
        torch.manual_seed(1)
        value = call(scores, mask)
        found.append((value, torch.autograd.grad(value.square().sum(), scores)[0]))
    for one, other in zip(*found, strict=True):
        close(one, other, 1e-12)


def test_noise_is_that_of_the_generator():
    one, other = (sample_subset(X, 2, generator=seed(5)) for _ in range(2))
    assert torch.equal(one, other)
    assert not torch.equal(one, sample_subset(X, 2))
