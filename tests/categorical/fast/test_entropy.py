"""The entropy of logits, and its derivatives."""

from __future__ import annotations

import pytest
import torch

from relaxit.categorical.fast.entropy import entropy as entropy_of
from tests.categorical.fast.fused_draws import SCALES, SHAPES, close, logits_for
from tests.helpers import seed


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_entropy(shape, scale, masked, dtype):
    logits = logits_for(shape, scale, masked, dtype)
    wide = logits.detach().double().requires_grad_()
    log_p = wide.log_softmax(-1)
    right = -(log_p.exp() * log_p.masked_fill(log_p == -torch.inf, 0.0)).sum(-1)
    got = entropy_of(logits)
    close(got.double(), right, dtype)
    arriving = torch.randn(right.shape, generator=seed(1), dtype=torch.float64)
    (want,) = torch.autograd.grad(right, wide, arriving)
    (slope,) = torch.autograd.grad(got, logits, arriving.to(dtype))
    close(slope.double(), want.nan_to_num(0.0), dtype)


def test_derivatives_of_the_entropy():
    logits = logits_for((3, 4), 1.0, dtype=torch.float64)
    assert torch.autograd.gradcheck(entropy_of, logits)
    assert torch.autograd.gradgradcheck(entropy_of, logits)
    masked = logits_for((3, 4), 1.0, masked=True, dtype=torch.float64)
    (slope,) = torch.autograd.grad(entropy_of(masked).sum(), masked, create_graph=True)
    (second,) = torch.autograd.grad(slope.square().sum(), masked)
    log_p = masked.log_softmax(-1)
    right = -(log_p.exp() * log_p.masked_fill(masked == -torch.inf, 0.0)).sum()
    (other,) = torch.autograd.grad(right, masked, create_graph=True)
    (want,) = torch.autograd.grad(other.square().sum(), masked)
    torch.testing.assert_close(second.nan_to_num(0.0), want.nan_to_num(0.0))
    assert torch.autograd.gradcheck(entropy_of, logits.detach().T.requires_grad_())
