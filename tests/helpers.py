"""What several test files share: the grids, seeded generators, and the statistical checks.

Each check answers True or False, so that the test beside it can ask for False on a mutant.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from relaxit import Relaxation
from relaxit.hooks import OWN_DISTRIBUTION
from relaxit.plugins.registry import default_registry

ALPHA = 2e-5
"""False-alarm rate of one statistical test. Seeds are fixed, so none flickers."""

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
TEMPERATURES = (1e-3, 1e-2, 0.1, 1.0, 10.0, 1e3)


def seed(number: int, device: torch.device | str = "cpu") -> torch.Generator:
    return torch.Generator(device).manual_seed(number)


def own(kind: str) -> list[type[Any]]:
    """Classes of a kind that come with relaxit; plugins have tests of their own."""
    registry = default_registry()
    return [
        cls
        for name, cls in registry.items(kind).items()
        if registry.provider(kind, name).distribution == OWN_DISTRIBUTION
    ]


def structures() -> list[Relaxation]:
    """Small instances of our own relaxations."""
    return [each for cls in own("relaxation") for each in cls.examples()]


def able(capability: str) -> list[Relaxation]:
    return [r for r in structures() if getattr(r.capabilities, capability)]


def params_for(relaxation: Relaxation, *batch: int, dtype=torch.float64, number: int = 7) -> Tensor:
    shape = (*batch, *relaxation.param_shape)
    return torch.randn(shape, generator=seed(number), dtype=torch.float64).to(dtype)


def counts(values: Tensor, support: Tensor) -> np.ndarray:
    """How often each row of ``support`` occurs among the rows of ``values``."""
    same = values.unsqueeze(1) == support.unsqueeze(0)
    same = same.flatten(2).all(-1) if same.dim() > 2 else same
    assert bool(same.any(1).all()), "a value that is no vertex"
    return same.sum(0).double().cpu().numpy()


def fits(observed: np.ndarray, probabilities: Tensor) -> bool:
    """Chi-square test of counts; a category of mass zero must not occur at all."""
    p = probabilities.detach().double().cpu().numpy()
    if observed[p == 0].any():
        return False
    observed, p = observed[p > 0], p[p > 0]
    if len(p) == 1:
        return True
    return bool(stats.chisquare(observed, p / p.sum() * observed.sum()).pvalue > ALPHA)


def follows(values: Tensor, distribution: str) -> bool:
    """Kolmogorov-Smirnov test of numbers against a law of scipy.stats."""
    return bool(
        stats.kstest(values.detach().double().flatten().numpy(), distribution).pvalue > ALPHA
    )


def averages(values: Tensor, mean: float) -> bool:
    """t-test that the numbers are independent draws with this mean."""
    return bool(stats.ttest_1samp(values.detach().double().numpy(), mean).pvalue > ALPHA)
