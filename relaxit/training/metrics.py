"""Metrics of a run: sums over steps, means of an epoch, and those of the held-out parts."""

from __future__ import annotations

import torch
from torch import Tensor

from relaxit.errors import ShapeError
from relaxit.training.experiment import Experiment
from relaxit.training.seeds import derive
from relaxit.training.task import Row, Task, Terms

__all__ = ["check_shapes", "evaluate_held_out", "mean_metrics", "metrics_row", "totals_of"]


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


def mean_metrics(task: Task, totals: list[float]) -> dict[str, float]:
    """Loss and training metrics from the :func:`totals_of` many steps."""
    loss, *sums, examples = totals
    found = task.summarise(dict(zip(task.metrics, sums, strict=True)), examples)
    return {"train_loss": loss / examples, **{f"train_{k}": v for k, v in found.items()}}


def metrics_row(
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
        found["kl_weight"] = e.kl_weight(step - 1)
    found["learning_rate"] = e.learning_rate(step - 1)
    found.update(mean_metrics(e.task, totals))
    return {**found, **evaluate_held_out(e)} if evaluate else found


def evaluate_held_out(e: Experiment) -> Row:
    """Metrics of the held-out parts that there are; the same noise at every call."""
    seed = derive(e.config.seed, "evaluation")
    found: dict[str, float] = {}
    if len(e.images.validation):
        found.update(e.evaluate("validation", seed))
    if len(e.images.test):
        found.update(e.evaluate("test", seed))
    return found
