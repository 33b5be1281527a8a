"""Metrics of a run: sums over steps, means over an epoch, and metrics of the held-out parts."""

from __future__ import annotations

import torch
from torch import Tensor

from relaxit.errors import ShapeError
from relaxit.training.display import Row
from relaxit.training.experiment import Experiment
from relaxit.training.seeds import derive
from relaxit.training.task import Task, Terms

__all__ = ["check_shapes", "evaluate_held_out", "mean_metrics", "metrics_row", "totals_of"]


def check_shapes(task: Task, terms: Terms) -> None:
    """Check that terms have the metrics and shapes that the task declares.

    Raises:
        ShapeError: naming the expected and the actual shapes.
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
    """Return the sums over the examples of a step: loss, metrics of the task, number of examples.

    Args:
        terms: loss and metrics of the step.
        loss: mean loss, 0-dim.

    Returns:
        ``[2 + metrics]``.
    """
    examples = len(terms.loss)
    sums = [metric.sum() for metric in terms.metrics.values()]
    return torch.stack([loss * examples, *sums, loss.new_full((), examples)])


def mean_metrics(task: Task, totals: list[float]) -> dict[str, float]:
    """Return loss and training metrics, from :func:`totals_of` summed over steps."""
    loss, *sums, examples = totals
    metrics = task.summarise(dict(zip(task.metrics, sums, strict=True)), examples)
    return {"train_loss": loss / examples, **{f"train_{k}": v for k, v in metrics.items()}}


def metrics_row(
    e: Experiment, epoch: int, step: int, totals: list[float], evaluate: bool = True
) -> dict[str, float | int]:
    """Return the metrics of an epoch: training metrics, then those of the held-out parts.

    Args:
        e: the run, whose model and temperature are those at the end of the epoch.
        epoch: number of the epoch, from 1.
        step: number of steps since the beginning of the run.
        totals: totals of the epoch, see :func:`totals_of`.
        evaluate: whether the held-out parts are evaluated.
    """
    row: dict[str, float | int] = {
        "epoch": epoch,
        "step": step,
        "temperature": float(e.temperature().detach()),
    }
    row |= {
        f"temperature_{name}": float(module().detach()) for name, module in e.temperatures.items()
    }
    row |= e.schedules(step - 1)
    row["learning_rate"] = e.learning_rate(step - 1)
    row.update(mean_metrics(e.task, totals))
    return {**row, **evaluate_held_out(e)} if evaluate else row


def evaluate_held_out(e: Experiment) -> Row:
    """Evaluate the held-out parts that are not empty, with the same noise in every call."""
    seed = derive(e.config.seed, "evaluation")
    metrics: dict[str, float] = {}
    if len(e.data.validation):
        metrics.update(e.evaluate("validation", seed))
    if len(e.data.test):
        metrics.update(e.evaluate("test", seed))
    return metrics
