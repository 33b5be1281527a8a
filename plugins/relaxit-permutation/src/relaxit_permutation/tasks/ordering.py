"""Shared code of tasks that order n items: the check of the structure, and the best order.

Every structure is supported whose values are n x n permutation matrices P, with P[i, j] = 1 where
item j has rank i, and whose params are either an n x n matrix of scores or one score per item.
"""

from __future__ import annotations

from torch import Tensor

from relaxit import ConfigurationError, PerturbAndRelax, RelaxedDistribution, Task
from relaxit.training import Setup

__all__ = ["best_order", "check_order", "distributions"]


def check_order(task: Task, setup: Setup) -> None:
    """Reject settings under which a task cannot order items.

    Raises:
        ConfigurationError: with the setting that is not supported and one that is.
    """
    if setup.latents != 1:
        raise ConfigurationError(
            f"task {task.name!r} learns one order per example, got {setup.latents} latents; "
            "set --latents 1"
        )
    event, params = setup.relaxation.event_shape, setup.relaxation.param_shape
    square = len(event) == 2 and event[0] == event[1]
    if not square or params not in (event, event[:1]):
        raise ConfigurationError(
            f"task {task.name!r} needs values [n, n] and params [n, n] or [n], but those of "
            f"{setup.relaxation!r} have shapes {list(event)} and {list(params)}; try --relaxation "
            "permutation"
        )
    if not (_has_distribution(setup) or isinstance(setup.relaxation, PerturbAndRelax)):
        raise ConfigurationError(
            f"task {task.name!r} is evaluated without noise, but {setup.relaxation!r} has neither "
            "a discrete distribution with a mode nor an argmax; try --relaxation permutation"
        )


def distributions(
    setup: Setup, params: Tensor, temperature: Tensor, samples: int
) -> RelaxedDistribution:  # batch [samples, B]
    """Return the distribution of each example's order, repeated once for each sample.

    An estimator draws one sample for each distribution in a batch, so repeating the distributions
    lets every estimator draw several samples.
    """
    q = setup.distribution(params, temperature)
    return q.expand((samples, *q.batch_shape))


def best_order(setup: Setup, params: Tensor) -> Tensor:  # [..., n] int64
    """Return the item at each rank in the best permutation, without noise.

    It is the mode of the discrete distribution or, where there is none, the permutation with the
    highest score.

    Example:
        >>> import torch, relaxit
        >>> permutation = relaxit.get("permutation", n=3)
        >>> setup = Setup(permutation, relaxit.estimator("pathwise"), latents=1)
        >>> scores = torch.tensor([[0.0, 0.0, 5.0], [5.0, 4.0, 0.0], [3.0, 1.0, 0.0]])
        >>> best_order(setup, scores)  # 5 + 4 + 3: the highest of rank 1 alone would be item 0
        tensor([2, 1, 0])
    """
    params = params.detach()
    relaxation = setup.relaxation
    if _has_distribution(setup):
        value: Tensor = setup.distribution(params).discrete.mode
    else:
        assert isinstance(relaxation, PerturbAndRelax)  # as check_order() requires
        value = relaxation.argmax(params)
    return value.argmax(-1)


def _has_distribution(setup: Setup) -> bool:
    return setup.relaxation.capabilities.discrete_distribution
