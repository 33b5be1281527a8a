"""A learned temperature gets its gradient even where a tensor cannot say that it needs one."""

from __future__ import annotations

import pytest
import torch

import relaxit
from tests.helpers import params_for, seed, structures

NAMES = ["st-gumbel", "straight-through", "gapped-st", "gumbel-rao", "decoupled-st-gumbel"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("relaxation", structures(), ids=repr)
def test_transform_and_autograd_agree(relaxation, name):
    # Many more draws than categories, so that gumbel-rao could take its short way.
    options = {"draws": 20} if name == "gumbel-rao" else {}
    estimator = relaxit.estimator(name, **options)
    params = params_for(relaxation, 6)

    def loss(tau):
        q = relaxation(params, tau)
        return estimator.surrogate(q, lambda z: (z * (z + 2)).sum(), seed(1)).sum()

    tau = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    (want,) = torch.autograd.grad(loss(tau), tau)
    got = torch.func.grad(loss)(tau.detach())
    assert float(want.abs()) > 1e-3
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-12)
