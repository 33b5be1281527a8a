"""Checks of forward-mode differentiation, alone and on top of reverse mode."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd import forward_ad

from relaxit.testing.case import RelaxationCase
from relaxit.testing.check import Failed, relaxation_check, require
from relaxit.testing.relaxations.gradients import no_differences
from relaxit.testing.relaxations.transforms import Quantity, quantities

__all__ = ["forward_mode_equals_reverse_mode", "second_derivatives_are_right"]

Scalar = Callable[[Tensor, Tensor], Tensor]
STEP = 1e-5

_GRADIENTS = (
    "sample_gradients_are_right",
    "log_prob_gradients_are_right",
    "discrete_gradients_are_right",
    "straight_through_is_exact",
    "vmap_over_samples",
)
"""Faults of reverse mode, which would only be reported again."""


def _scalars(case: RelaxationCase) -> dict[str, Scalar]:
    """Return sums of samples and of claimed quantities, as functions of params and temperature."""
    r, empty = case.relaxation, torch.Size()
    soft, hard = r(case.params(2), 0.8).draw((), case.generator(1))
    functions: dict[str, Scalar] = {
        "rsample": lambda a, t: r(a, t).rsample((), case.generator(0)),
        "the soft sample of draw": lambda a, t: r(a, t).draw((), case.generator(0))[0],
        "straight_through": lambda a, t: r.straight_through(a, t, empty, case.generator(0)),
    }
    if r.capabilities.density:
        functions["log_prob"] = lambda a, t: r(a, t).log_prob(soft)
    claimed = quantities(case)
    for name in claimed.keys() - {"hard", "mode", "log_prob"}:
        functions[name] = _at(claimed[name], soft, hard)
    return {name: _summed(function) for name, function in functions.items()}


def _at(quantity: Quantity, soft: Tensor, hard: Tensor) -> Scalar:
    """Return a quantity of a soft and a hard value, as a function of params and temperature."""
    return lambda a, t: quantity(a / t, soft, hard)


def _summed(function: Scalar) -> Scalar:
    """Return a weighted sum of what a function returns."""

    def total(a: Tensor, t: Tensor) -> Tensor:
        value = function(a, t)
        weights = torch.linspace(-1, 2, value.numel(), dtype=value.dtype, device=value.device)
        return (value * weights.view(value.shape)).sum()

    return total


def _inputs(case: RelaxationCase) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return params and a temperature, and a direction for each."""
    temperature = torch.tensor(0.8, dtype=case.dtype, device=case.device)
    return case.params(2), temperature, case.params(2, seed=3), temperature.new_tensor(0.3)


def _close(got: Tensor, want: Tensor, complaint: str) -> None:
    near = torch.allclose(got, want, rtol=1e-4, atol=1e-6)
    require(near, f"{complaint}: {float(got.sum()):.6g}, not {float(want.sum()):.6g}")


@relaxation_check(absent=no_differences, needs=_GRADIENTS)
def forward_mode_equals_reverse_mode(case: RelaxationCase) -> None:
    """Under `torch.func.jvp`, and for a temperature that is a dual number, samples and claimed
    quantities have the derivatives of reverse mode. Why: an autograd function without `jvp` raises
    an error there, and a tangent that is lost is a silent zero."""
    params, temperature, along, upwards = _inputs(case)
    for name, function in _scalars(case).items():
        a, t = params.clone().requires_grad_(), temperature.clone().requires_grad_()
        slopes = torch.autograd.grad(function(a, t), (a, t), materialize_grads=True)
        by_params, by_temperature = (slopes[0] * along).sum(), slopes[1] * upwards
        try:
            tangent = torch.func.jvp(function, (params, temperature), (along, upwards))[1]
            alone = _of_temperature(function, case)
        except NotImplementedError as error:
            raise Failed(f"{name} has no forward mode: {error}") from error
        _close(tangent, by_params + by_temperature, f"the tangent of {name}")
        _close(alone, by_temperature, f"the tangent of {name} for a dual temperature")


def _of_temperature(function: Scalar, case: RelaxationCase) -> Tensor:
    """Return the tangent for a temperature that is a dual number, and params that are not."""
    params, temperature, _, upwards = _inputs(case)
    with forward_ad.dual_level():
        value = function(params, forward_ad.make_dual(temperature, upwards))
        tangent: Tensor | None = forward_ad.unpack_dual(value).tangent
        return torch.zeros_like(upwards) if tangent is None else tangent.clone()


@relaxation_check(absent=no_differences, needs=("forward_mode_equals_reverse_mode",))
def second_derivatives_are_right(case: RelaxationCase) -> None:
    """The derivative of a gradient in forward mode, with which `torch.func.hessian` is computed,
    agrees with differences of gradients. Why: a backward pass that takes its own result for a
    constant gives a wrong curvature and no error."""
    params, temperature, along, _ = _inputs(case)
    for name, function in _scalars(case).items():

        def slope(a: Tensor, f: Scalar = function) -> Tensor:
            gradient: Tensor = torch.func.grad(f)(a, temperature)
            return gradient

        curvature = torch.func.jvp(slope, (params,), (along,))[1]
        ahead, behind = slope(params + STEP * along), slope(params - STEP * along)
        want = (ahead - behind) / (2 * STEP)
        near = torch.allclose(curvature, want, rtol=1e-3, atol=1e-4)
        off = float((curvature - want).abs().max())
        require(near, f"the second derivative of {name} is off by {off:.3g}")
