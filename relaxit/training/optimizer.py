"""The optimizer of a run: over which parameters, at which rates, and its state to save."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from relaxit.training.config import OptimizerConfig
from relaxit.training.task import ESTIMATOR_STATE

__all__ = ["build_optimizer", "decayed_parameters", "load_plain_state", "plain_state"]


def build_optimizer(
    settings: OptimizerConfig,
    weights: Iterable[nn.Parameter | Tensor],
    tau: Iterable[Tensor],
    capturable: bool = False,
) -> torch.optim.Optimizer:
    """The optimizer of a run; every step of it is elementwise.

    Args:
        settings: which, its rate and its weight decay.
        weights: the model's parameters.
        tau: parameters that do not decay, of temperature and estimator; may be empty.
        capturable: whether its step can be recorded in a CUDA graph; the rate is then a tensor.
    """
    groups: list[dict[str, object]] = [
        {"params": list(params), "weight_decay": decay}
        for params, decay in ((weights, settings.weight_decay), (tau, 0.0))
    ]
    groups = [group for group in groups if group["params"]]
    rate: float | Tensor = settings.lr
    if capturable:
        first: Any = groups[0]["params"]
        rate = torch.full((), settings.lr, device=first[0].device)
    if settings.method == "radam":  # it has no fused form
        return torch.optim.RAdam(
            groups, lr=rate, decoupled_weight_decay=True, capturable=capturable
        )
    return torch.optim.AdamW(groups, lr=rate, fused=True, capturable=capturable)


def plain_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """State to save, the same whatever executes the steps: its rates are numbers."""
    state = optimizer.state_dict()
    groups = [{**group, "lr": float(group["lr"])} for group in state["param_groups"]]
    return {**state, "param_groups": groups}


def load_plain_state(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Take over saved moments; settings stay those of this run, which may execute otherwise."""
    own = [
        {key: value for key, value in group.items() if key != "params"}
        for group in optimizer.param_groups
    ]
    # Given first, as it decides on which device the counts of steps are put.
    groups = [{**saved, **mine} for saved, mine in zip(state["param_groups"], own, strict=True)]
    optimizer.load_state_dict({**state, "param_groups": groups})
    for group, mine in zip(optimizer.param_groups, own, strict=True):
        group.update(mine)


def decayed_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The model's parameters without those of the estimator, which weight decay leaves alone.

    Decay would pull the weight of a control variate to a value that nobody chose.
    """
    state = getattr(model, ESTIMATOR_STATE, None)
    own = set() if state is None else set(state.parameters())
    return [parameter for parameter in model.parameters() if parameter not in own]
