"""Checks of float32, in which models are trained, against float64, which most checks use."""

from __future__ import annotations

import torch
from torch import Tensor

from relaxit.testing.case import RelaxationCase
from relaxit.testing.check import ALPHA, relaxation_check, require
from relaxit.testing.relaxations.transforms import quantities
from relaxit.testing.statistics import wrong_mean

__all__ = ["float32_agrees_with_float64", "float32_gradients_agree"]

ROWS = 20_000


def _without_both_dtypes(case: RelaxationCase) -> str:
    """Applies: float32 and float64 claimed."""
    both = {torch.float32, torch.float64} <= set(case.dtypes)
    return "" if both else "float32 and float64 are not both claimed"


@relaxation_check(absent=_without_both_dtypes, needs=("hard_in_vertices", "hard_of_hard_is_itself"))
def float32_agrees_with_float64(case: RelaxationCase) -> None:
    """In float32 every quantity equals that in float64 up to rounding. Why: most other checks use
    float64, but models are trained in float32."""
    short = case.params(200, dtype=torch.float32)
    soft, hard = case.relaxation(short, 0.5).draw((), case.generator(1))
    exact = case.relaxation.hard(hard.double())  # a vertex such as (0.1, 0.3) differs in float64
    for name, function in quantities(case).items():
        in_float32 = function(short, soft, hard).double()
        in_float64 = function(short.double(), soft.double(), exact)
        near = torch.allclose(in_float32, in_float64, rtol=1e-3, atol=1e-3)
        require(
            near, f"{name} in float32 is off by {float((in_float32 - in_float64).abs().max()):.3g}"
        )


@relaxation_check(
    false_alarm=ALPHA,
    absent=_without_both_dtypes,
    needs=("sample_gradients_are_right", "noise_is_independent"),
)
def float32_gradients_agree(case: RelaxationCase) -> None:
    """The mean gradient of soft samples in float32 equals that in float64. Why: gradients are
    compared with finite differences in float64, but models are trained in float32."""
    short, exact = (_slopes(case, dtype).double() for dtype in (torch.float32, torch.float64))
    wrong = wrong_mean(short, exact.mean(0), exact.std(0) / len(exact) ** 0.5)
    require(not wrong, wrong)


def _slopes(case: RelaxationCase, dtype: torch.dtype) -> Tensor:
    """Return gradients of a quadratic cost of one sample each, ``[ROWS, *param_shape]``."""
    row = case.params(dtype=torch.float32).to(dtype)
    params = row.expand(ROWS, *row.shape).clone().requires_grad_()
    soft = case.relaxation(params, 1.0).rsample((), case.generator(1)).reshape(ROWS, -1)
    weights = torch.linspace(0.5, 2.0, soft.shape[1], dtype=dtype, device=case.device)
    (slopes,) = torch.autograd.grad((weights * soft.square()).sum(), params)
    return slopes
