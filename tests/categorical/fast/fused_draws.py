"""Logits for fused draws on the CPU, and the reference implementation."""

from __future__ import annotations

import torch

from relaxit import PerturbAndRelax
from tests.helpers import seed

SHAPES = [(7, 2), (5, 3, 10), (4, 64), (3, 65), (2, 1000), (4096, 10)]
TEMPERATURES = [1.0, 0.7, 0.05, 5.0, torch.tensor(0.5)]
SCALES = [0.0, 1.0, 30.0]


def logits_for(shape, scale, masked=False, dtype=torch.float32):
    logits = scale * torch.randn(shape, generator=seed(0), dtype=dtype)
    if masked:
        logits[..., 1::3] = -torch.inf
    return logits.requires_grad_()


def plain(categorical, logits, temperature, shape, generator):
    """Draw with the reference implementation."""
    return PerturbAndRelax.draw(categorical, logits, temperature, shape, generator)


def close(got, want, dtype, steep=1.0):
    """Compare up to rounding; ``steep`` is what a rounding of the scores is multiplied by."""
    tolerance = (1e-5 if dtype == torch.float32 else 1e-12) * max(1.0, steep)
    torch.testing.assert_close(got, want, rtol=10 * tolerance, atol=tolerance)
