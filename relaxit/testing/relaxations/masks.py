"""Checks of params of which many entries are masked."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import kl_divergence

from relaxit.testing.case import RelaxationCase, claims
from relaxit.testing.check import relaxation_check, require
from relaxit.testing.relaxations.gradients import has_kl

__all__ = ["many_masks_are_finite"]

MASKS = 64
"""Random masks that are tried, each with params of its own."""
ENOUGH = 20


def many_masked(case: RelaxationCase) -> Tensor:
    """Return the valid ones of params with random masks, ``[M, *param_shape]``; M may be 0.

    Half of the entries are masked and, where hardly any of these params are valid, fewer, but at
    least two.
    """
    params = case.params(MASKS, seed=3)
    rows = params.reshape(MASKS, -1)
    order = torch.rand(rows.shape, generator=torch.Generator("cpu").manual_seed(4), device="cpu")
    ranks = order.argsort(-1).argsort(-1).to(case.device)
    masked, valid = -(-rows.shape[1] // 2), params[:0]
    while masked > 1 and len(valid) < ENOUGH:
        tried = rows.masked_fill(ranks < masked, -torch.inf).reshape(params.shape)
        valid = torch.cat([valid, tried[case.relaxation.valid_params(tried)]])
        masked = masked * 3 // 4
    return valid


def _never_many(case: RelaxationCase) -> str:
    """Applies: `masks` claimed, params with two masked entries or more are valid."""
    if absent := claims("masks")(case):
        return absent
    return "" if len(many_masked(case)) else "params with several masked entries are never valid"


@relaxation_check(absent=_never_many, needs=("masked_gradients_are_finite",))
def many_masks_are_finite(case: RelaxationCase) -> None:
    """With random masks of half of the entries, as far as `valid_params` accepts them, samples and
    quantities are finite, and so are their gradients. Why: only several masks together close all
    ways into a state, and the gradient of a `logsumexp` of nothing but `-inf` is NaN."""
    for temperature in (0.1, 0.7):
        params = many_masked(case).requires_grad_()
        for name, value in _quantities(case, params, temperature).items():
            bad = int((~value.isfinite()).reshape(len(params), -1).any(1).sum())
            require(bad == 0, f"{name} is not finite with {bad} of {len(params)} masks")
            if not value.requires_grad:
                continue
            weights = torch.linspace(-1, 2, value.numel()).to(value).reshape(value.shape)
            (slope,) = torch.autograd.grad((value * weights).sum(), params, retain_graph=True)
            bad = int((~slope.isfinite()).reshape(len(params), -1).any(1).sum())
            require(
                bad == 0, f"the gradient of {name} is not finite with {bad} of {len(params)} masks"
            )


def _quantities(case: RelaxationCase, params: Tensor, temperature: float) -> dict[str, Tensor]:
    """Return samples and quantities, each with the rows of params first."""
    q = case.relaxation(params, temperature)
    quantities = {"a soft sample": q.rsample((), case.generator(1))}
    if case.relaxation.capabilities.density:
        quantities["a density"] = q.log_prob(q.sample((), case.generator(2)))
    if case.relaxation.capabilities.discrete_distribution:
        quantities["a log-mass"] = q.discrete.log_prob(q.sample_hard((), case.generator(3)))
        quantities["a mean"] = q.discrete.mean
        quantities["an entropy"] = q.discrete.entropy()
        quantities["a KL from uniform"] = q.kl_to_uniform()
        if has_kl(case):
            milder = case.relaxation.discrete(0.5 * params.detach())
            quantities["a KL divergence"] = kl_divergence(q.discrete, milder)
    return quantities
