"""The value of one tensor with the gradient of another one."""

from __future__ import annotations

import torch

import relaxit
from relaxit.autograd import replace_gradient


def test_through_passes_one_value_and_the_other_gradient():
    hard = torch.tensor([0.0, 1.0], requires_grad=True)
    soft = torch.tensor([0.3, 0.7], requires_grad=True)
    z = replace_gradient(hard, soft)
    assert torch.equal(z, hard)
    assert z.data_ptr() != hard.data_ptr()
    (z * torch.tensor([2.0, 5.0])).sum().backward()
    assert soft.grad.tolist() == [2, 5]
    assert hard.grad is None


def test_sum_and_difference_would_miss_the_vertex():
    # The reason for a function of its own: what the usual one-liner gives in bfloat16.
    q = relaxit.get("categorical", categories=5)(torch.randn(500, 5, dtype=torch.bfloat16))
    soft, hard = q.draw()
    assert not bool(relaxit.constraints.one_hot.check(hard + soft - soft.detach()).all())
    assert bool(relaxit.constraints.one_hot.check(replace_gradient(hard, soft)).all())
