"""The optimizer of a run: its parameter groups, its learning rate and its saved state."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from relaxit.training.config import OptimizerConfig
from relaxit.training.setup import ESTIMATOR_STATE

__all__ = ["build_optimizer", "decayed_parameters", "load_plain_state", "plain_state"]


def build_optimizer(
    settings: OptimizerConfig,
    weights: Iterable[nn.Parameter | Tensor],
    tau: Iterable[Tensor],
    capturable: bool = False,
) -> torch.optim.Optimizer:
    """Build the optimizer of a run, whose step is elementwise.

    Args:
        settings: method, learning rate and weight decay.
        weights: the model's parameters.
        tau: parameters without weight decay, of temperature and estimator; may be empty.
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
    if settings.method == "radam":  # it has no fused implementation
        return torch.optim.RAdam(
            groups, lr=rate, decoupled_weight_decay=True, capturable=capturable
        )
    return torch.optim.AdamW(groups, lr=rate, fused=True, capturable=capturable)


def plain_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Return the state to save, with numbers as rates, so that it is the same for all engines."""
    state = optimizer.state_dict()
    groups = [{**group, "lr": float(group["lr"])} for group in state["param_groups"]]
    return {**state, "param_groups": groups}


def load_plain_state(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load saved moments, but keep the settings of this run, whose engine may be another."""
    current = [
        {key: value for key, value in group.items() if key != "params"}
        for group in optimizer.param_groups
    ]
    # Merged before loading: the settings decide on which device the step counts are placed.
    groups = [{**saved, **mine} for saved, mine in zip(state["param_groups"], current, strict=True)]
    optimizer.load_state_dict({**state, "param_groups": groups})
    for group, mine in zip(optimizer.param_groups, current, strict=True):
        group.update(mine)


def decayed_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Return the model's parameters that are subject to weight decay: all but the estimator's.

    Decay would pull the weight of a control variate towards a value that nobody chose.
    """
    states = [m for name, m in model.named_children() if name.startswith(ESTIMATOR_STATE)]
    exempt = {parameter for state in states for parameter in state.parameters()}
    return [parameter for parameter in model.parameters() if parameter not in exempt]
