"""Exact one-hot draws on the CPU by inverting the CDF, with one uniform per row.

This is the fused implementation of ``sample`` of
:class:`relaxit.categorical.distributions.OneHot`. Masses need not be normalised: the uniform number
is scaled by their sum. For few categories it computes cumulative sums and a comparison, and finds
the step from 0 to 1 by a difference of neighbours over the whole memory. For many categories it
computes sums of blocks and then reads only the selected block, so that the masses are read once.

The total of a row is the last of the cumulative sums that are compared with, so that rounding
leaves no gap at the end. A category of mass 0 adds no step, so it is never drawn.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from relaxit import noise

__all__ = ["draw"]

_LOG2E = math.log2(math.e)
_FEW = 128  # categories up to which cumulative sums of all of them are cheaper
_RANGE = 100.0  # powers of two below 1 that are normal numbers in float32


def draw(logits: Tensor, shape: torch.Size, generator: noise.Source = None) -> Tensor:
    """Draw one-hot vectors ``[*shape, *batch, K]`` from the softmax of logits ``[*batch, K]``.

    Args:
        logits: logits in float32 or float64 on the CPU; ``-inf`` for masked categories.
        shape: shape of the independent draws.
        generator: source of randomness.
    """
    few = logits.shape[-1] <= _FEW
    return (_few if few else _many)(logits, shape, generator)


def _masses(logits: Tensor, out: Tensor) -> Tensor:
    """Compute probabilities up to a factor per row, which keeps them normal numbers."""
    low, high = (float(end) for end in logits.aminmax())
    near = (high - low) * _LOG2E < _RANGE  # not if a category is masked
    top = high if near else logits.amax(-1, keepdim=True)
    torch.sub(logits, top, out=out)
    return out.mul_(_LOG2E).exp2_()


def _few(logits: Tensor, shape: torch.Size, generator: noise.Source) -> Tensor:
    steps = _masses(logits, logits.new_empty(logits.shape)).cumsum_(-1)
    u = noise.uniform(
        shape + logits.shape[:-1], dtype=logits.dtype, device=logits.device, generator=generator
    )
    level = u.unsqueeze(-1).mul_(steps[..., -1:])
    above = logits.new_empty(shape + logits.shape)
    torch.gt(steps, level, out=above)  # 0 ... 0 1 ... 1, and the last is 1
    vertex = torch.empty_like(above)
    flat = above.view(-1)
    torch.sub(flat[1:], flat[:-1], out=vertex.view(-1)[1:])
    # The 1 of the previous row was subtracted from the first entry of each row.
    vertex[..., 0].copy_(above[..., 0])
    return vertex


def _many(logits: Tensor, shape: torch.Size, generator: noise.Source) -> Tensor:
    size, batch = logits.shape[-1], logits.shape[:-1]
    width = math.isqrt(size - 1) + 1
    blocks = -(-size // width)
    masses = logits.new_empty(*batch, blocks * width)
    masses[..., size:] = 0
    _masses(logits, masses[..., :size])
    masses = masses.view(-1, width)  # [rows * blocks, width]
    # Double precision from here on: the rounding of sums over many categories would be visible.
    sums = masses.sum(-1).double().view(*batch, blocks)
    steps = sums.cumsum(-1)
    u = noise.uniform(shape + batch, dtype=torch.float64, device=logits.device, generator=generator)
    level = u.mul_(steps[..., -1]).unsqueeze(-1)
    block = (steps <= level).sum(-1, keepdim=True)
    share = (level - (steps - sums).expand(*shape, *batch, blocks).gather(-1, block)) / sums.expand(
        *shape, *batch, blocks
    ).gather(-1, block)
    first = torch.arange(batch.numel(), device=logits.device).view(*batch, 1) * blocks
    inner = masses[(first + block).flatten()].double().cumsum(-1).view(*shape, *batch, width)
    level = share.clamp_(0.0, 1 - 2**-53) * inner[..., -1:]
    index = block * width + (inner <= level).sum(-1, keepdim=True)
    return logits.new_zeros(shape + logits.shape).scatter_(-1, index, 1.0)
