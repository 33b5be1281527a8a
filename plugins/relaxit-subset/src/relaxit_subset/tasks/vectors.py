"""The check of tasks that choose once among items: values and params with an entry per item."""

from __future__ import annotations

from relaxit import ConfigurationError, Task
from relaxit.training import Setup

__all__ = ["check_vectors"]


def check_vectors(task: Task, setup: Setup, choice: str, item: str) -> None:
    """Reject settings under which a task cannot choose among items.

    Args:
        task: the task.
        setup: its settings.
        choice: what the task makes, such as ``one subset``.
        item: what an entry stands for, such as ``pixel``.

    Raises:
        ConfigurationError: with the setting that is not supported and one that is.
    """
    if setup.latents != 1:
        raise ConfigurationError(
            f"task {task.name!r} {choice}, got {setup.latents} latents; set --latents 1"
        )
    event_shape, param_shape = setup.relaxation.event_shape, setup.relaxation.param_shape
    if len(event_shape) != 1 or event_shape != param_shape:
        raise ConfigurationError(
            f"task {task.name!r} needs values and params that are vectors with one entry per "
            f"{item}, but those of {setup.relaxation!r} have shapes {list(event_shape)} and "
            f"{list(param_shape)}; try --relaxation subset"
        )
