"""Arguments of the wrong type are named, wherever a function, layer or constructor takes them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import Field

import relaxit
import relaxit.functional as RF
from relaxit import Options, Relax
from relaxit.arguments import unstated_sizes
from relaxit.categorical import Categorical
from relaxit.errors import ConfigurationError
from relaxit.estimators import Rloo
from relaxit.nn import Codebook, HardConcreteGates, TopKRouter
from tests.helpers import structures

X = torch.zeros(2, 5)
TEMPERATURES = {
    "gumbel_softmax": lambda tau: relaxit.gumbel_softmax(X, tau),
    "gumbel_softmax, large": lambda tau: relaxit.gumbel_softmax(torch.zeros(100, 100), tau),
    "gumbel_softmax, masked": lambda tau: relaxit.gumbel_softmax(X, tau, mask=X == 0),
    "sample": lambda tau: RF.sample(X, "categorical", tau),
    "Categorical": lambda tau: relaxit.Categorical(logits=X, temperature=tau),
    "Relax": lambda tau: Relax("categorical", tau),
    "Relax.set_temperature": lambda tau: Relax("categorical").set_temperature(tau),
    "HardConcreteGates": lambda tau: HardConcreteGates(3, tau),
    "Codebook": lambda tau: Codebook(4, 3, tau),
    "TopKRouter": lambda tau: TopKRouter(8, 4, 1, tau),
}
RELAXATIONS = {
    "sample": lambda given: RF.sample(X, given),
    "Relax": lambda given: Relax(given),
    "TopKRouter": lambda given: TopKRouter(5, 5, 1, relaxation=given),
}
ESTIMATORS = {
    "gumbel_softmax": lambda given: relaxit.gumbel_softmax(X, estimator=given),
    "sample": lambda given: RF.sample(X, "categorical", estimator=given),
    "Relax": lambda given: Relax("categorical", 1.0, given),
    "Codebook": lambda given: Codebook(4, 3, 1.0, given),
}


def each(calls):
    return pytest.mark.parametrize("call", calls.values(), ids=calls)


@each(TEMPERATURES)
@pytest.mark.parametrize("wrong", ["reinmax", None, True, 1j, [0.5]], ids=str)
def test_a_temperature_that_is_no_number(call, wrong):
    with pytest.raises(TypeError, match="temperature must be a number or tensor, got ") as error:
        call(wrong)
    assert repr(wrong) in str(error.value)


@each(TEMPERATURES)
@pytest.mark.parametrize("number", [1, 0.5, np.float32(0.5), np.int64(2)], ids=repr)
def test_numbers_are_accepted(call, number):
    call(number)


@each(RELAXATIONS)
@pytest.mark.parametrize("wrong", [5, None, torch.zeros(3), X.shape], ids=repr)
def test_a_relaxation_that_is_neither_object_nor_name(call, wrong):
    if wrong is None and call is RELAXATIONS["TopKRouter"]:
        pytest.skip("the default")
    with pytest.raises(TypeError, match="a relaxation is given as an object or by its name, got "):
        call(wrong)


@each(ESTIMATORS)
@pytest.mark.parametrize("wrong", [7, Rloo, X], ids=["number", "class", "tensor"])
def test_an_estimator_that_is_neither_object_nor_name(call, wrong):
    with pytest.raises(TypeError, match="an estimator is given as an object or by its name, got "):
        call(wrong)


@pytest.mark.parametrize("relaxation", structures(), ids=repr)
def test_a_relaxation_rejects_it_too(relaxation):
    params = torch.zeros(2, *relaxation.param_shape)
    with pytest.raises(TypeError, match=f"^{relaxation.name}: temperature must be a number"):
        relaxation(params, "low")


def test_similar_aliases_are_suggested():
    with pytest.raises(relaxit.UnknownName, match="Did you mean gumbel"):
        relaxit.get("gumble", categories=3)


def test_the_faces_are_attributes():
    for name in ("functional", "losses", "nn", "noise", "constraints"):
        assert getattr(relaxit, name).__name__ == f"relaxit.{name}"
        assert name in dir(relaxit)


def test_only_options_that_the_tensor_does_not_have_are_missing():
    class Sized(Options):
        categories: int = Field(ge=1)
        k: int = Field(ge=1, examples=[10])

    sized = type("Sized", (Categorical,), {"api": 1, "name": "sized", "Options": Sized})
    with pytest.raises(ConfigurationError, match=r"^sized needs k, for example k=10$"):
        unstated_sizes(sized, {})
    with pytest.raises(ConfigurationError, match=r"^sized needs k; sized has no option m"):
        unstated_sizes(sized, {"m": 3})
    assert unstated_sizes(sized, {"k": 3}) == ("categories",)


def test_the_name_of_a_function_is_not_that_of_a_structure():
    with pytest.raises(relaxit.UnknownName, match=r"is a function: relaxit\.functional\."):
        relaxit.Relax("gumbel_softmax")
