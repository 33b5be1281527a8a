"""Fused implementation of ``OneHot.entropy`` on the CPU, in few passes over memory.

A masked category has no mass and adds nothing.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from relaxit.categorical.fast.cpu import row_sum
from relaxit.tracing import may_branch_on_values

__all__ = ["entropy"]


def entropy(logits: Tensor) -> Tensor:
    """Compute the entropy ``[*batch]`` in nats of the softmax of logits ``[*batch, K]``.

    Requires :func:`relaxit.tracing.may_branch_on_values`.

    With s = logits - max and Z = sum(exp(s)): H = log Z - sum(s exp(s)) / Z, and
    dH / da_k = -p_k (log p_k + H).
    """
    result: Tensor = _Entropy.apply(logits.contiguous())
    return result


class _Entropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> Tensor:
        shifted = logits - logits.amax(-1, keepdim=True)
        probs = shifted.exp()
        if not math.isfinite(float(shifted.min())):  # a masked category: 0, not 0 * -inf
            shifted.masked_fill_(shifted == -torch.inf, 0.0)
        total = row_sum(probs)
        probs.div_(total)
        log_probs = shifted.sub_(total.log_())
        value = row_sum(probs * log_probs).neg_()
        ctx.save_for_backward(logits, probs, log_probs, value)
        return value.squeeze(-1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        logits, probs, log_probs, value = ctx.saved_tensors
        if torch.is_grad_enabled() or not may_branch_on_values(
            grad
        ):  # from the logits, for autograd
            log_probs = logits.log_softmax(-1)
            probs = log_probs.exp()
            log_probs = log_probs.masked_fill(logits == -torch.inf, 0.0)
            value = -(probs * log_probs).sum(-1, keepdim=True)
            return -grad.unsqueeze(-1) * probs * (log_probs + value)
        return torch.add(log_probs, value).mul_(probs).mul_(-grad.unsqueeze(-1))
