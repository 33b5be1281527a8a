"""What a run does when: functions of its configuration, its seed and the global step.

A run alone and the members of an ensemble both follow them, so that they are the same run.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from relaxit.config import Optimizer
from relaxit.errors import ConfigurationError, ShapeError
from relaxit.schedules import cosine_decay, ramp
from relaxit.training.experiment import Experiment
from relaxit.training.seeds import derive
from relaxit.training.task import ESTIMATOR_STATE, Row, Task, Terms

__all__ = [
    "build_optimizer",
    "check_learned",
    "check_shapes",
    "decaying",
    "kl_weight",
    "learning_rate",
    "load_plain_state",
    "means",
    "noise_generator",
    "order",
    "plain_state",
    "row",
    "totals_of",
]


def build_optimizer(
    settings: Optimizer,
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


def decaying(e: Experiment) -> list[nn.Parameter]:
    """The model's parameters without those of the estimator, which weight decay leaves alone.

    Decay would pull the weight of a control variate to a value that nobody chose.
    """
    state = getattr(e.model, ESTIMATOR_STATE, None)
    own = set() if state is None else set(state.parameters())
    return [parameter for parameter in e.model.parameters() if parameter not in own]


def learning_rate(e: Experiment, step: int) -> float:
    """Peak rate times warm-up times decay."""
    settings = e.config.optimizer
    decay = cosine_decay(step, e.steps) if settings.schedule == "cosine" else 1.0
    return settings.lr * decay * ramp(step + 1, settings.warmup * e.steps)


def kl_weight(e: Experiment, step: int) -> float:
    """Weight of the KL term."""
    return ramp(step, e.config.objective.kl_warmup * e.steps)


def noise_generator(e: Experiment) -> torch.Generator:
    """The source of a run's noise, at its beginning."""
    return torch.Generator(e.device).manual_seed(derive(e.config.seed, "noise"))


def order(e: Experiment, epoch: int) -> Tensor:
    """Order of the training pictures ``[N]`` in an epoch.

    From seed and epoch alone, on the CPU: the same on every device and after a restart.
    """
    generator = torch.Generator().manual_seed(derive(e.config.seed, "order", epoch))
    return torch.randperm(len(e.images.train), generator=generator).to(e.device)


def check_shapes(task: Task, terms: Terms) -> None:
    """Refuse terms that are not of the shapes a task promises.

    Raises:
        ShapeError: with what was expected and what came.
    """
    shapes = [m.shape for m in terms.metrics.values()]
    if tuple(terms.metrics) != task.metrics or {terms.loss.shape, *shapes} != {
        torch.Size([terms.loss.numel()])
    }:
        given = {key: list(m.shape) for key, m in terms.metrics.items()}
        raise ShapeError(
            f"task {task.name!r}: expected a loss [E] and metrics {list(task.metrics)} of the "
            f"same shape, got a loss of shape {list(terms.loss.shape)} and metrics {given}"
        )


def check_learned(e: Experiment, tau: Iterable[Tensor]) -> None:
    """Refuse to learn a temperature that the loss does not depend on; it would stay as it is.

    Args:
        e: the run.
        tau: parameters of the temperature, after a backward pass.

    Raises:
        ConfigurationError: if one of them has no gradient.
    """
    if any(parameter.grad is None for parameter in tau):
        raise ConfigurationError(
            f"temperature.schedule = 'learned': estimator {e.setup.estimator.name!r} gives the "
            "temperature no gradient; use another schedule, or 'pathwise'"
        )


@torch.no_grad()
def totals_of(terms: Terms, loss: Tensor) -> Tensor:
    """Sums over the examples of a step: loss, metrics of the task, number of examples.

    Args:
        terms: what the step cost.
        loss: the mean that was minimised, 0-dim.
    """
    examples = len(terms.loss)
    sums = [metric.sum() for metric in terms.metrics.values()]
    return torch.stack([loss * examples, *sums, loss.new_full((), examples)])


def means(task: Task, totals: list[float]) -> dict[str, float]:
    """Loss and training metrics from the :func:`totals_of` many steps."""
    loss, *sums, examples = totals
    found = task.summarise(dict(zip(task.metrics, sums, strict=True)), examples)
    return {"train_loss": loss / examples, **{f"train_{k}": v for k, v in found.items()}}


def row(
    e: Experiment, epoch: int, step: int, totals: list[float], evaluate: bool = True
) -> dict[str, float | int]:
    """Metrics of an epoch that has ended: of training, then those of the held-out parts.

    Args:
        e: the run, whose model and temperature are those at the end of the epoch.
        epoch: from 1.
        step: steps since the beginning of the run.
        totals: of the epoch.
        evaluate: whether the held-out parts are looked at.
    """
    found: dict[str, float | int] = {
        "epoch": epoch,
        "step": step,
        "temperature": float(e.temperature().detach()),
    }
    if e.task.has_kl:
        found["kl_weight"] = kl_weight(e, step - 1)
    found["learning_rate"] = learning_rate(e, step - 1)
    found.update(means(e.task, totals))
    return {**found, **evaluation(e)} if evaluate else found


def evaluation(e: Experiment) -> Row:
    """Metrics of the held-out parts that there are; the same noise at every call."""
    seed = derive(e.config.seed, "evaluation")
    found: dict[str, float] = {}
    if len(e.images.validation):
        found.update(e.evaluate("validation", seed))
    if len(e.images.test):
        found.update(e.evaluate("test", seed))
    return found
