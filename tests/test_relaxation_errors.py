"""What a relaxation rejects: params, temperatures, values, absent quantities."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.distributions import kl_divergence

from relaxit.errors import DomainError, ShapeError, Unsupported
from tests.toy_relaxations import EACH, Cube, Rows, distribution


@EACH
@pytest.mark.parametrize("given", [(2,), (4,), (1, 1), (3, 1), (2, 3)])
def test_temperature_that_would_enlarge_the_batch_is_rejected(relaxation, given):
    with pytest.raises(ShapeError, match=relaxation.name):
        relaxation(torch.zeros(3, *relaxation.param_shape), torch.ones(given))


BAD_TEMPERATURES = [0.0, -0.5, math.nan, math.inf, -math.inf]


@EACH
@pytest.mark.parametrize("bad", [0, *BAD_TEMPERATURES])
def test_bad_temperature(relaxation, bad):
    params = torch.zeros(3, *relaxation.param_shape)
    with pytest.raises(DomainError) as caught:
        relaxation(params, bad)
    assert isinstance(caught.value, ValueError)
    with pytest.raises(DomainError):
        relaxation(params, torch.tensor(bad))
    with pytest.raises(DomainError):
        relaxation(params, torch.tensor([1.0, bad, 1.0]))


@EACH
@pytest.mark.parametrize("bad", [0.0, -1.0])
def test_validate_args(relaxation, bad):
    params = torch.zeros(3, *relaxation.param_shape)
    relaxation(params, torch.tensor(bad), validate_args=False)
    with pytest.raises(DomainError):
        relaxation(params, torch.tensor(bad), validate_args=True)
    # A float costs nothing to look at, nor does a shape.
    with pytest.raises(DomainError):
        relaxation(params, bad, validate_args=False)
    with pytest.raises(ShapeError):
        relaxation(params, torch.ones(2), validate_args=False)
    relaxation(params * torch.nan, validate_args=False)
    with pytest.raises(DomainError, match="3 of 3"):
        relaxation(params * torch.nan)


@EACH
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_default_of_legal_params_is_finite(relaxation, value):
    params = torch.zeros(3, *relaxation.param_shape)
    params[1].view(-1)[-1] = value
    with pytest.raises(
        DomainError, match=f"{relaxation.name}: .* 1 of 3 .*{relaxation.illegal_params}"
    ):
        relaxation(params)


@EACH
@pytest.mark.parametrize("bad", ["1", None, True, [1.0]])
def test_temperature_of_another_type(relaxation, bad):
    with pytest.raises(TypeError, match="temperature"):
        relaxation(torch.zeros(relaxation.param_shape), bad)


@EACH
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.bool, torch.complex64])
def test_params_must_float(relaxation, dtype):
    with pytest.raises(TypeError, match="floating"):
        relaxation(torch.zeros(relaxation.param_shape, dtype=dtype))


@EACH
def test_params_must_be_a_tensor(relaxation):
    with pytest.raises(TypeError, match="ndarray"):
        relaxation(np.zeros(relaxation.param_shape))


def test_dtype_outside_the_claim():
    with pytest.raises(Unsupported, match="float64"):
        Cube()(torch.zeros(4, dtype=torch.float64))


@pytest.mark.parametrize("shape", [(), (3,), (3, 2), (2, 3, 1)])
def test_wrong_shape_is_named(shape):
    with pytest.raises(ShapeError) as caught:
        Rows()(torch.zeros(shape))
    for part in ("test-rows", "params", "[*, 2, 3]", str(list(shape))):
        assert part in str(caught.value)


def test_wrong_value_shape_is_rejected():
    q = distribution(Rows(), 5)
    for method in (q.hard, q.log_prob):
        with pytest.raises(ShapeError, match=r"value must be \[\*, 2, 3\], got \[5, 3\]"):
            method(torch.zeros(5, 3))


@EACH
def test_denied_quantities_are_unsupported(relaxation):
    q = distribution(relaxation, 3)
    for ask in (
        lambda: q.log_prob(q.sample()),
        lambda: q.log_space,
        lambda: q.discrete,
        lambda: q.kl_to_uniform(),
    ):
        with pytest.raises(Unsupported, match=f"{relaxation.name} has no .* It offers: sample"):
            ask()


@EACH
@pytest.mark.parametrize("name", ["mean", "mode", "variance", "stddev"])
def test_moments_of_the_relaxed_distribution_are_unsupported(relaxation, name):
    with pytest.raises(Unsupported, match=r"q\.discrete"):
        getattr(distribution(relaxation), name)


@EACH
@pytest.mark.parametrize("name", ["entropy", "enumerate_support", "cdf", "icdf"])
def test_functions_of_the_relaxed_distribution_are_unsupported(relaxation, name):
    arguments = [torch.zeros(relaxation.event_shape)] if "cdf" in name else []
    with pytest.raises(Unsupported, match=r"q\.discrete") as caught:
        getattr(distribution(relaxation), name)(*arguments)
    assert isinstance(caught.value, NotImplementedError)


@EACH
def test_kl_between_relaxed_distributions_is_unsupported(relaxation):
    with pytest.raises(Unsupported, match=r"kl_divergence\(p\.discrete, q\.discrete\)"):
        kl_divergence(distribution(relaxation), distribution(relaxation))
