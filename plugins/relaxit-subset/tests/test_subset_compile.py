"""Compiled in one graph the distribution equals the eager one, and no warning escapes."""

from __future__ import annotations

import warnings

import pytest
import torch
from subset_helpers import close, normal

import relaxit


def compiled(function):
    torch.compiler.reset()
    return torch.compile(function, fullgraph=True, backend="aot_eager")


def value_and_slope(function, logits):
    leaf = logits.clone().requires_grad_()
    found = function(leaf)
    upstream = normal(*found.shape, number=1).to(found.dtype)
    return found.detach(), torch.autograd.grad(found, leaf, upstream)[0]


@pytest.mark.parametrize(
    ("name", "n", "k", "dtype"),
    [
        ("subset", 12, 5, torch.float32),
        ("subset", 12, 5, torch.float64),
        ("subset", 4, 4, torch.float32),
        ("subset-plackett-luce", 4, 2, torch.float32),
    ],
)
def test_marginals_and_their_gradient(name, n, k, dtype):
    structure, logits = relaxit.get(name, n=n, k=k), normal(3, n).to(dtype)

    def marginals(a):
        return structure.discrete(a).mean

    with warnings.catch_warnings():  # such as that complex numbers are not compiled
        warnings.simplefilter("error")
        # The compiler of torch 2.10 to itself; hidden from users by Python's own filter.
        warnings.filterwarnings("ignore", ".*should not be instantiated", DeprecationWarning)
        warnings.filterwarnings("ignore", "Guards may run slower on Python 3.13.0", RuntimeWarning)
        got = value_and_slope(compiled(marginals), logits)
    for one, other in zip(got, value_and_slope(marginals, logits), strict=True):
        close(one, other, 20 * torch.finfo(dtype).eps)
    assert bool(got[1].any()) == (0 < k < n)


def test_a_second_call_does_not_compile_again():
    structure = relaxit.get("subset", n=8, k=3)
    function = compiled(lambda a: structure.discrete(a).entropy())
    value_and_slope(function, normal(3, 8))
    with torch.compiler.set_stance("fail_on_recompile"):
        got = value_and_slope(function, normal(3, 8, number=9) * 20)
    want = value_and_slope(lambda a: structure.discrete(a).entropy(), normal(3, 8, number=9) * 20)
    for one, other in zip(got, want, strict=True):
        close(one, other, 1e-12)


@pytest.mark.parametrize("name", ["subset", "categorical"])
def test_batches_of_any_size_share_a_graph(name):
    options = {"n": 5, "k": 2} if name == "subset" else {"categories": 5}
    structure = relaxit.get(name, **options)
    draw = torch.compile(lambda a: structure(a, 0.5).rsample(), fullgraph=True, backend="aot_eager")
    for batch in (7, 9, 11):
        assert structure.support.check(draw(torch.zeros(batch, 5))).sum() == batch


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("simple", {}),
        ("imle", {}),
        ("imle", {"noise": "auto"}),
    ],
)
def test_estimators(name, options):
    structure, estimator = relaxit.get("subset", n=6, k=2), relaxit.estimator(name, **options)

    def sample(a):
        return estimator.sample(structure(a))

    torch.manual_seed(1)
    got = value_and_slope(compiled(sample), normal(3, 6))
    torch.manual_seed(1)
    want = value_and_slope(sample, normal(3, 6))
    for one, other in zip(got, want, strict=True):
        close(one, other, 1e-12)
