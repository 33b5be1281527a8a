"""Checks of the loss for actions drawn earlier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from relaxit.estimators import Estimator, surrogate_with
from relaxit.testing.case import EstimatorCase
from relaxit.testing.check import Failed, estimator_check, require
from relaxit.testing.estimators.costs import Cost

__all__ = ["loss_is_that_of_the_surrogate"]


def _has_no_loss(case: EstimatorCase) -> str:
    """Applies: `loss` implemented."""
    kind: Any = type(case.estimator)
    absent = kind.loss is Estimator.loss
    return "it has no loss for actions drawn earlier" if absent else ""


@estimator_check(absent=_has_no_loss, needs=("surrogate_is_the_cost",))
def loss_is_that_of_the_surrogate(case: EstimatorCase) -> None:
    """`loss` with negative costs as rewards equals the surrogate on the same draws, in value and
    gradient, for one variable and for three under one reward; rewards may be an array, and actions
    of one category indices. A reward of shape `[B, 1]` raises a `ValueError`. Why: with a wrong
    sign the policy runs away from the reward."""
    q = case.relaxation(case.on.params(4, 3).requires_grad_(), 0.7)
    for joint in (False, True):
        cost = Cost(case)
        wanted = surrogate_with(None, case.estimator, q, _of(cost, joint), case.generator(1))
        action = torch.stack(cost.seen)
        reward = -torch.stack([c.sum(-1) if joint else c for c in cost.returned])
        if len(action) == 1:  # a single draw has no sample dimension
            action, reward = action[0], reward[0]
        ways: list[tuple[Tensor, Any]] = [(action, reward), (action, reward.cpu().numpy())]
        if case.relaxation.capabilities.logits == "category":
            ways.append((action.argmax(-1), reward))
        for given, got in ways:
            _require_equal(case.estimator.loss(q, given, got, None), wanted, q.params)
        _require_rejected(case, q, action, reward.unsqueeze(-1))


def _of(cost: Cost, joint: bool) -> Callable[[Tensor], Tensor]:
    return (lambda z: cost(z).sum(-1)) if joint else cost


def _require_equal(loss: Tensor, wanted: Tensor, params: Tensor) -> None:
    require(loss.shape == wanted.shape, f"loss has shape {list(loss.shape)}")
    near = torch.allclose(loss.to(wanted), wanted, rtol=1e-5, atol=1e-6)
    require(near, "loss is not the surrogate of the negative rewards")
    first, second = (
        torch.autograd.grad(total.sum(), params, retain_graph=True)[0] for total in (loss, wanted)
    )
    near = torch.allclose(first, second, rtol=1e-4, atol=1e-5)
    require(near, "the gradient of loss is not that of the surrogate of the negative rewards")


def _require_rejected(case: EstimatorCase, q: Any, action: Tensor, reward: Tensor) -> None:
    try:
        case.estimator.loss(q, action, reward, None)
    except ValueError as error:
        text, name = str(error), case.estimator.name
        require(name in text and "\n" not in text, f"no one line with {name!r}: {text}")
    else:
        raise Failed(f"a reward of shape {list(reward.shape)} is accepted")
