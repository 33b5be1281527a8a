"""The mean of soft values given their hard value, and its derivative in the params.

What Rao-Blackwellised estimators have in common: perturbed scores X are drawn given their argmax,
and the Jacobian of ``relax(X)`` is averaged over the draws. The noise is held fixed in it, so that
X = theta + G has the derivative of theta alone: only so is the mean the Jacobian that st-gumbel has
on average.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from relaxit.arithmetic import full_precision_matmul, without_autocast
from relaxit.autograd import replace_gradient
from relaxit.perturb import PerturbAndRelax
from relaxit.relaxation import RelaxedDistribution
from relaxit.temperature import may_need_gradient

__all__ = ["conditional_mean"]


def conditional_mean(
    q: RelaxedDistribution,
    at: Tensor,
    params: Tensor,
    hard: Tensor,
    draws: int,
    chunk: int,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Mean soft value given the hard one, over ``draws`` draws, differentiable in ``params``.

    Where params are logits the average Jacobian is summed up chunk by chunk, so that memory does
    not grow with the number of draws; for other structures all soft values are kept. Second
    derivatives are those of a constant Jacobian in the first case.

    Args:
        q: a law whose relaxation has the capability ``conditional``; its temperature is used.
        at: scores ``[*sample, *batch, *param_shape]`` that are perturbed; no gradient reaches them.
        params: what gets the gradient, of that shape.
        hard: vertices ``[*sample, *batch, *event_shape]``.
        draws: number of draws.
        chunk: number of draws worked on at once.
        generator: source of randomness.
    """
    relaxation, temperature = q.relaxation, q.aligned_temperature
    assert isinstance(relaxation, PerturbAndRelax)  # has the capability

    def perturbed() -> Iterator[Tensor]:
        for size in _sizes(draws, chunk):
            with torch.no_grad(), without_autocast(at):
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
    with torch.no_grad(), without_autocast(params):
        for scores in perturbed():
            soft = relaxation.relax(scores, temperature)
            mean = mean + soft.sum(0) / draws
            jacobian = jacobian + _jacobian(soft, kind) / draws
    value: Tensor = _Linear.apply(params, mean, jacobian / _dividing(temperature, kind))
    return value


def _sizes(draws: int, chunk: int) -> list[int]:
    full, rest = divmod(draws, chunk)
    return [chunk] * full + [rest] * (rest > 0)


def _dividing(temperature: float | Tensor, kind: str) -> float | Tensor:
    """The temperature, to divide a Jacobian of one more dimension where there is one."""
    matrix = kind == "category" and isinstance(temperature, Tensor) and temperature.dim() > 0
    return temperature.unsqueeze(-1) if matrix and isinstance(temperature, Tensor) else temperature


def _jacobian(soft: Tensor, kind: str) -> Tensor:
    """Summed over the first dimension: of the softmax ``[..., K, K]``, or of the sigmoid."""
    if kind == "bits":
        return (soft * (1 - soft)).sum(0)
    moved = soft.movedim(0, -1)  # [..., K, draws]
    return soft.sum(0).diag_embed() - full_precision_matmul(moved, moved.mT)


class _Linear(torch.autograd.Function):
    """A given value, with a given symmetric Jacobian."""

    generate_vmap_rule = True

    @staticmethod
    def forward(params: Tensor, value: Tensor, jacobian: Tensor) -> Tensor:
        del params, jacobian
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[2])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (jacobian,) = ctx.saved_tensors
        if jacobian.dim() == grad.dim():
            return jacobian * grad, None, None
        return full_precision_matmul(jacobian, grad.unsqueeze(-1)).squeeze(-1), None, None
