"""What several test files share: grids of dtypes and temperatures, generators, our relaxations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from relaxit import Relaxation
from relaxit.hooks import OWN_DISTRIBUTION
from relaxit.plugins.registry import default_registry

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
TEMPERATURES = (1e-3, 1e-2, 0.1, 1.0, 10.0, 1e3)


def seed(number: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a generator with this seed."""
    return torch.Generator(device).manual_seed(number)


def own_classes(kind: str) -> list[type[Any]]:
    """Classes of a kind that come with relaxit; plugins have tests of their own."""
    registry = default_registry()
    return [
        cls
        for name, cls in registry.items(kind).items()
        if registry.provider(kind, name).distribution == OWN_DISTRIBUTION
    ]


def structures() -> list[Relaxation]:
    """Small instances of our own relaxations."""
    return [each for cls in own_classes("relaxation") for each in cls.examples()]


def relaxations_with(capability: str) -> list[Relaxation]:
    """Small instances of our own relaxations that have a capability."""
    return [r for r in structures() if getattr(r.capabilities, capability)]


def params_for(relaxation: Relaxation, *batch: int, dtype=torch.float64, number: int = 7) -> Tensor:
    """Return random params ``[*batch, *param_shape]``."""
    shape = (*batch, *relaxation.param_shape)
    return torch.randn(shape, generator=seed(number), dtype=torch.float64).to(dtype)
