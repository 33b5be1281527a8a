"""Gradients of densities at float16 samples."""

from __future__ import annotations

import pytest
import torch

import relaxit
from relaxit.float16 import restore_float32

RELAXATIONS = [
    relaxit.get(name, **options)
    for name, options in [("categorical", {"categories": 8}), ("binary", {})]
]
each = pytest.mark.parametrize("relaxation", RELAXATIONS, ids=repr)


def params_of(relaxation):
    source = torch.Generator().manual_seed(0)
    drawn = torch.randn(1000, *relaxation.param_shape, generator=source)
    return drawn.to(torch.float16).requires_grad_()


def slope(relaxation, params, temperature, seed=1):
    q = relaxation(params, temperature)
    soft = q.rsample((), torch.Generator().manual_seed(seed))
    (found,) = torch.autograd.grad(q.log_prob(soft).sum(), params)
    return found, soft


def exact(relaxation, params, temperature, stored, seed=1):
    """In float64, at the stored value, through the value that it was rounded from."""
    narrow = params.detach().float().requires_grad_()
    soft = relaxation(narrow, temperature).rsample((), torch.Generator().manual_seed(seed))
    wide = narrow.double()
    at = soft.double() + (stored.detach().double() - soft.detach().double())
    density = relaxation.log_prob(wide, temperature, at)
    (found,) = torch.autograd.grad(density.sum(), narrow)
    return found


@each
@pytest.mark.parametrize("temperature", [0.1, 0.2, 0.5, 1.0, 3.0])
def test_gradient_of_a_density_at_its_own_sample(relaxation, temperature):
    params = params_of(relaxation)
    found, soft = slope(relaxation, params, temperature)
    assert soft.dtype == found.dtype == torch.float16
    assert found.isfinite().all()
    wanted = exact(relaxation, params, temperature, soft)
    torch.testing.assert_close(found.float(), wanted, rtol=2e-3, atol=2e-2)


@each
def test_without_the_float32_sample_it_is_not_finite(relaxation):
    # So that the test above cannot pass for another reason.
    params = params_of(relaxation)
    q = relaxation(params, 0.1)
    soft = q.rsample((), torch.Generator().manual_seed(1)) * 1
    (found,) = torch.autograd.grad(q.log_prob(soft).sum(), params)
    assert not found.isfinite().all()


@each
def test_the_density_of_another_distribution_too(relaxation):
    params = params_of(relaxation)
    prior = relaxation(torch.zeros_like(params), 0.2)
    q = relaxation(params, 0.2)
    soft = q.rsample()
    (found,) = torch.autograd.grad((q.log_prob(soft) - prior.log_prob(soft)).sum(), params)
    assert found.isfinite().all()


@each
def test_numbers_are_those_of_the_stored_value(relaxation):
    params = params_of(relaxation)
    q = relaxation(params, 0.3)
    soft, _ = q.draw()
    assert torch.equal(restore_float32(soft).half(), soft)
    torch.testing.assert_close(q.log_prob(soft), q.log_prob(soft.detach()))


@each
def test_a_value_that_was_written_into_is_another_one(relaxation):
    soft = relaxation(params_of(relaxation), 1.0).rsample()
    assert restore_float32(soft) is not soft
    soft.mul_(1)
    assert restore_float32(soft) is soft


@each
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_other_dtypes_remember_nothing(relaxation, dtype):
    params = params_of(relaxation).detach().to(dtype).requires_grad_()
    soft = relaxation(params, 0.5).rsample()
    assert restore_float32(soft) is soft
    assert not vars(soft)


@each
def test_nothing_is_kept_without_gradient(relaxation):
    assert not vars(relaxation(params_of(relaxation), 0.5).sample())


@each
def test_compiled_and_transformed(relaxation):
    params = params_of(relaxation)

    def density(p):
        q = relaxation(p, 0.2)
        return q.log_prob(q.rsample()).sum()

    torch.compiler.reset()
    compiled = torch.compile(density, fullgraph=True, backend="aot_eager")
    (found,) = torch.autograd.grad(compiled(params), params)
    assert found.isfinite().all()
    assert torch.func.grad(density)(params.detach()).isfinite().all()
