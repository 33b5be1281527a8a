"""Aliases of types for the annotations of samplers."""

from __future__ import annotations

from collections.abc import Sequence

import torch

__all__ = ["Generator", "Shape"]

Generator = torch.Generator | None
"""Source of random numbers of a sampler; None is PyTorch's global generator."""

Shape = int | Sequence[int]
"""A sample shape as users give it; ``torch.Size`` is one."""
