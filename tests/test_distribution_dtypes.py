"""Our own relaxations in every dtype, at extreme parameters and temperatures."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import kl_divergence

from relaxit.dtypes import compute_dtype
from relaxit.testing import count_values, wrong_frequencies
from tests.helpers import DTYPES, TEMPERATURES, params_for, seed
from tests.own_relaxations import ALL, DENSITY, DISCRETE, EXACT, masses, nudged, support_of

DRAWS = 400_000


@EXACT
@pytest.mark.parametrize("dtype", DTYPES)
def test_hard_frequencies_in_every_dtype(relaxation, dtype):
    # The vertex comes from float32 scores even where the soft value is bfloat16.
    params = params_for(relaxation, dtype=dtype)
    support = support_of(relaxation).to(dtype)
    observed = count_values(relaxation(params, 1.0).draw((DRAWS,), seed(5))[1], support)
    assert not wrong_frequencies(observed, masses(relaxation, params))
    other = masses(relaxation, nudged(relaxation, params.float()))
    assert wrong_frequencies(observed, other)


def extremes(relaxation, dtype):
    size = math.prod(relaxation.param_shape)
    signs = torch.tensor([[0.0] * size, [1e4] * size, [-1e4] * size, [1e4, -1e4] * size][:3])
    mixed = torch.tensor([1e4, -1e4, 0.0, 1e4, 3.0] * size)[: 2 * size].view(2, size)
    rows = torch.cat([signs, mixed]).to(dtype)
    return rows.reshape(-1, *relaxation.param_shape)


def no_nan(tensor):
    return not bool(tensor.isnan().any())


@ALL
@pytest.mark.parametrize("as_tensor", [False, True])
@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_extremes(relaxation, dtype, temperature, as_tensor, device):
    if dtype not in relaxation.capabilities.dtypes:
        pytest.skip("dtype not claimed")
    params = extremes(relaxation, dtype).to(device).requires_grad_()
    tau = torch.tensor(temperature, dtype=dtype, device=device) if as_tensor else temperature
    q = relaxation(params, tau)
    soft, hard = q.draw((40,))
    other = q.rsample((40,))
    for value in (soft, other):
        assert value.dtype == dtype
        assert value.device.type == device.type
        assert bool(q.support.check(value).all())
        assert not bool(relaxation.vertices.check(value).any()), "a soft value on a vertex"
    assert hard.dtype == dtype
    assert hard.device.type == device.type
    assert bool(relaxation.vertices.check(hard).all())
    assert bool(relaxation.vertices.check(q.hard(soft)).all())

    wide = compute_dtype(dtype)
    results = [soft.float().square().sum()]
    if relaxation.capabilities.density:
        results.append(q.log_prob(soft.detach()))
    if relaxation.capabilities.log_space:
        x = q.log_space.rsample((40,))
        results += [q.log_space.log_prob(x.detach()), x.square().mean()]
        assert x.dtype == wide
    if relaxation.capabilities.discrete_distribution:
        results += [q.discrete.entropy(), q.kl_to_uniform()]
        results.append(kl_divergence(q.discrete, relaxation.discrete(params.detach().flip(0))))
        assert q.discrete.mean.dtype == dtype
        assert q.discrete.sample().dtype == dtype
    for result in results:
        assert result.dtype == wide or result is results[0]
        assert bool(result.isfinite().all())
        (slope,) = torch.autograd.grad(result.sum(), params, retain_graph=True)
        assert slope.dtype == dtype
        assert no_nan(slope)


@DENSITY
@pytest.mark.parametrize("as_tensor", [False, True])
@pytest.mark.parametrize("temperature", [0.1, 0.3, 1.0, 30.0])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_short_dtypes_agree_with_float64(relaxation, dtype, temperature, as_tensor):
    # Same parameters, value and temperature, all of them numbers of the short dtype.
    params = params_for(relaxation, 50, dtype=dtype)
    tau = torch.tensor(temperature, dtype=dtype)
    value = relaxation(params, tau).sample((), seed(0))
    got = relaxation(params, tau if as_tensor else float(tau)).log_prob(value)
    # As a float64 vector the rounded value is off the support by more than float64 rounding.
    exact = relaxation(params.double(), float(tau), validate_args=False)
    want = exact.log_prob(value.double())
    torch.testing.assert_close(got, want.float(), rtol=2e-5, atol=2e-5)


@DISCRETE
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_discrete_scalars_of_short_dtypes_agree_with_float64(relaxation, dtype):
    params = params_for(relaxation, 50, dtype=dtype)
    short, wide = relaxation.discrete(params), relaxation.discrete(params.double())
    value = wide.sample()
    pairs = [
        (short.entropy(), wide.entropy()),
        (short.log_prob(value.to(dtype)), wide.log_prob(value)),
        (relaxation(params).kl_to_uniform(), relaxation(params.double()).kl_to_uniform()),
    ]
    for got, want in pairs:
        assert got.dtype == torch.float32
        torch.testing.assert_close(got, want.float(), rtol=1e-5, atol=1e-5)
