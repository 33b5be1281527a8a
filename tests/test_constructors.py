"""Distributions from tensors alone: the same as with sizes stated."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
import torch

import relaxit
from relaxit import ConfigurationError, DomainError
from relaxit.constructors import constructor

STRUCTURES = [example for cls in relaxit.relaxations().values() for example in cls.examples()]
EACH = pytest.mark.parametrize("example", STRUCTURES, ids=repr)


def name_of(relaxation):
    return "".join(word.capitalize() for word in relaxation.name.split("-"))


@EACH
def test_every_relaxation_has_a_constructor(example):
    build = getattr(relaxit, name_of(example))
    sizes = type(example).sizes(example.param_shape)
    stated = {k: v for k, v in example.options if k not in sizes}
    params = torch.zeros(5, *example.param_shape)
    q = build(logits=params, temperature=0.5, **stated)
    assert q.relaxation == example
    assert (q.batch_shape, q.temperature) == (torch.Size([5]), 0.5)
    with pytest.raises(TypeError, match="logits must be a floating-point tensor"):
        build(logits=params.long(), **stated)


@EACH
def test_options_may_follow_the_logits_by_position(example):
    build = getattr(relaxit, name_of(example))
    sizes = type(example).sizes(example.param_shape)
    stated = [v for k, v in example.options if k not in sizes]
    params = torch.zeros(5, *example.param_shape)
    if example.capabilities.logits:
        with pytest.raises(TypeError, match=r"write logits=\.\.\. or probs=\.\.\."):
            build(params, *stated)
        return
    assert build(params, *stated).relaxation == example
    with pytest.raises(TypeError, match="by position"):
        build(params, *stated, 7)
    with pytest.raises(TypeError, match="takes logits, not probs"):
        build(params, *stated, probs=params)


@EACH
def test_help_shows_what_it_takes(example):
    build = getattr(relaxit, name_of(example))
    parameters = inspect.signature(build).parameters
    assert {"logits", "temperature", "mask", "validate_args"} <= set(parameters)
    assert not type(example).sizes(torch.Size((8, 8, 8))).keys() & set(parameters)
    assert build.__name__ == name_of(example)
    assert all(f"    {key}:" in build.__doc__ for key in parameters if key != "probs")


def test_names_of_the_field():
    assert relaxit.Bernoulli(logits=torch.zeros(3)).relaxation.name == "binary"
    assert relaxit.GumbelSoftmax(logits=torch.zeros(3)).relaxation.name == "categorical"
    assert constructor("Categorical") is relaxit.Categorical
    with pytest.raises(AttributeError, match="unknown relaxation 'categorcal'"):
        _ = relaxit.Categorcal


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_probabilities(dtype):
    probs = torch.tensor([[0.25, 0.75, 0.0], [0.5, 0.25, 0.25]], dtype=dtype)
    q = relaxit.Categorical(probs=probs)
    torch.testing.assert_close(q.discrete.mean, probs)
    bits = torch.tensor([0.0, 0.25, 1.0], dtype=dtype)
    torch.testing.assert_close(relaxit.Bernoulli(probs=bits).discrete.mean, bits)


def test_the_gradient_of_probabilities():
    probs = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64, requires_grad=True)
    one = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    relaxit.Categorical(probs=probs).discrete.log_prob(one).backward()
    # d/dp of log(p_1 / sum p)
    want = torch.tensor([0.0, 1 / 0.3, 0.0], dtype=torch.float64) - 1
    torch.testing.assert_close(probs.grad, want)


@pytest.mark.parametrize(
    "probs", [[0.2, 0.2], [1.2, -0.2], [1.0, float("nan")], [3.0, -1.0], [0.0, 0.0]]
)
def test_what_are_no_probabilities(probs):
    with pytest.raises(DomainError, match="probs must be at least 0 and sum to 1"):
        relaxit.Categorical(probs=torch.tensor(probs))
    if max(probs) > 1 or min(probs) < 0:
        with pytest.raises(DomainError, match=r"probs must lie in \[0, 1\]"):
            relaxit.Bernoulli(probs=torch.tensor(probs))


def test_either_logits_or_probs():
    for given in ({}, {"logits": torch.zeros(2), "probs": torch.full((2,), 0.5)}):
        with pytest.raises(TypeError, match="either logits or probs"):
            relaxit.Categorical(**given)
    with pytest.raises(ConfigurationError, match="k"):
        relaxit.Categorical(logits=torch.zeros(3), k=2)


def test_masks():
    mask = torch.tensor([[True, True, False], [True, False, False]])
    q = relaxit.Categorical(logits=torch.zeros(2, 3), mask=mask)
    assert q.discrete.mean.tolist() == [[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]
    assert relaxit.Bernoulli(logits=torch.zeros(3), mask=mask[0]).discrete.mean[-1] == 0


def test_checks_can_be_turned_off():
    bad = torch.tensor([float("nan"), 0.0])
    with pytest.raises(DomainError):
        relaxit.Categorical(logits=bad)
    assert relaxit.Categorical(logits=bad, validate_args=False)
    assert relaxit.Categorical(probs=bad, validate_args=False)


def test_probabilities_are_checked_as_torch_is_set():
    wrong = torch.tensor([0.5, 0.9])
    with pytest.raises(DomainError, match="probs must be at least 0 and sum to 1"):
        relaxit.Categorical(probs=wrong)
    code = (
        "import torch, relaxit; torch.distributions.Distribution.set_default_validate_args(False);"
        "relaxit.Categorical(probs=torch.tensor([0.5, 0.9]))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
