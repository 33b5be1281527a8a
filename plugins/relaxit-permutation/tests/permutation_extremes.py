"""Temperatures at the ends of the range, and finite gradients there."""

from __future__ import annotations

import torch
from permutation_helpers import INF, normal

COLD = [1e-10, 1e-30, 1e-45, 1e-300, 1e-320]
HOT = [1e30, 1e38, 1e39, 1e300]


def numbers(values, dtype):
    """Temperatures as floats and, where the dtype has them, as tensors that learn."""
    for value in values:
        yield value
        tensor = torch.tensor(value, dtype=dtype)
        if 0 < float(tensor) < INF:
            yield tensor.requires_grad_()


def checked(function, x, temperature):
    """The value, after a look at the gradients."""
    leaf = x.clone().requires_grad_()
    value = function(leaf, temperature)
    leaves = [leaf, temperature] if isinstance(temperature, torch.Tensor) else [leaf]
    for found in torch.autograd.grad(value, leaves, normal(*value.shape).to(value)):
        assert bool(found.isfinite().all()), temperature
    return value
