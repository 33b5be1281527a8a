"""The mean soft value given the hard one, and its derivative in the params.

This is shared by Rao-Blackwellised estimators: perturbed scores X are drawn given their argmax, and
the Jacobian of ``relax(X)`` is averaged over the draws. The noise is held fixed in the derivative,
so that X = theta + G has the derivative of theta alone. Only then is the mean equal to the expected
Jacobian of st-gumbel.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from relaxit.aliases import Generator
from relaxit.arithmetic import full_precision_matmul, without_autocast
from relaxit.autograd import Levels, in_all_modes, no_change, replace_gradient
from relaxit.perturb import PerturbAndRelax
from relaxit.relaxation import RelaxedDistribution
from relaxit.temperature import may_need_gradient
from relaxit.tracing import gradients_off

__all__ = ["conditional_mean"]


def conditional_mean(
    q: RelaxedDistribution,
    at: Tensor,
    params: Tensor,
    hard: Tensor,
    draws: int,
    chunk: int,
    generator: Generator = None,
) -> Tensor:
    """Compute the mean soft value given the hard one, differentiable in ``params``.

    If params are logits, the mean Jacobian is accumulated chunk by chunk, so that memory does not
    grow with the number of draws, and second derivatives are those of a constant Jacobian. For
    other structures all soft values are kept.

    Args:
        q: distribution whose relaxation has the capability ``conditional``; its temperature is
            used.
        at: scores ``[*sample, *batch, *param_shape]`` to perturb; no gradient reaches them.
        params: tensor of the same shape that gets the gradient.
        hard: vertices ``[*sample, *batch, *event_shape]``.
        draws: number of draws.
        chunk: number of draws processed at once.
        generator: source of randomness.
    """
    relaxation, temperature = q.relaxation, q.aligned_temperature
    assert isinstance(relaxation, PerturbAndRelax)  # has the capability

    def perturbed() -> Iterator[Tensor]:
        for size in _sizes(draws, chunk):
            with gradients_off(), without_autocast(at):
                scores = relaxation.perturb_given(at, hard, torch.Size((size,)), generator)
            yield scores

    kind = relaxation.capabilities.logits
    small = kind == "bits" or (kind == "category" and params.shape[-1] < draws)
    mean: Any = 0.0
    if not small or may_need_gradient(temperature):
        for scores in perturbed():
            moved = replace_gradient(scores, params.expand(scores.shape))
            with without_autocast(moved):
                mean = mean + relaxation.relax(moved, temperature).sum(0) / draws
        return mean
    jacobian: Any = 0.0
    with gradients_off(), without_autocast(params):
        for scores in perturbed():
            soft = relaxation.relax(scores, temperature)
            mean = mean + soft.sum(0) / draws
            jacobian = jacobian + _jacobian(soft, kind) / draws
    jacobian = jacobian / _dividing(temperature, kind)
    value: Tensor = in_all_modes(_Linear, _LinearBothModes, _linear, params, mean, jacobian)
    return value


def _sizes(draws: int, chunk: int) -> list[int]:
    full, rest = divmod(draws, chunk)
    return [chunk] * full + [rest] * (rest > 0)


def _dividing(temperature: float | Tensor, kind: str) -> float | Tensor:
    """Return the temperature, with another dimension if the Jacobian is a matrix."""
    matrix = kind == "category" and isinstance(temperature, Tensor) and temperature.dim() > 0
    return temperature.unsqueeze(-1) if matrix and isinstance(temperature, Tensor) else temperature


def _jacobian(soft: Tensor, kind: str) -> Tensor:
    """Sum the Jacobians over draws: of the softmax ``[..., K, K]``, or of the sigmoid ``[...]``."""
    if kind == "bits":
        return (soft * (1 - soft)).sum(0)
    moved = soft.movedim(0, -1)  # [..., K, draws]
    return soft.sum(0).diag_embed() - full_precision_matmul(moved, moved.mT)


class _Linear(torch.autograd.Function):
    """Returns a given value, with a given symmetric Jacobian."""

    generate_vmap_rule = True

    @staticmethod
    def forward(params: Tensor, value: Tensor, jacobian: Tensor, levels: Levels | None) -> Tensor:
        del params, jacobian, levels
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[2])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        return _times(ctx.saved_tensors[0], grad), None, None, None


class _LinearBothModes(_Linear):
    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[2])
        ctx.save_for_forward(inputs[2])
        ctx.levels = inputs[3]

    @staticmethod
    def jvp(ctx: Any, params: Tensor, value: Tensor, jacobian: Tensor, _: None) -> Tensor:
        ctx.levels.number += 1
        return _times(ctx.saved_tensors[0], params)


def _linear(params: Tensor, value: Tensor, jacobian: Tensor) -> Tensor:
    # A trace may not know that gradients were off.
    return value.detach() + _times(jacobian.detach(), no_change(params))


def _times(jacobian: Tensor, vector: Tensor) -> Tensor:
    """Multiply a vector by a symmetric Jacobian, or by the diagonal of one."""
    if jacobian.dim() == vector.dim():
        return jacobian * vector
    return full_precision_matmul(jacobian, vector.unsqueeze(-1)).squeeze(-1)
