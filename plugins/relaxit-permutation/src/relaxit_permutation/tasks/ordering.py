"""What tasks that put n items in order have in common: which structures fit, and the best order.

For every structure whose values are n x n permutation matrices P with P[i, j] = 1 where item j goes
to rank i, and whose params are either such a matrix of scores or one score an item.
"""

from __future__ import annotations

from torch import Tensor

from relaxit import ConfigurationError, PerturbAndRelax, RelaxedDistribution, Task
from relaxit.training import Setup

__all__ = ["best_order", "check_order", "distributions"]


def check_order(task: Task, setup: Setup) -> None:
    """Refuse settings under which a task cannot put items in order.

    Raises:
        ConfigurationError: naming what does not fit and what would.
    """
    if setup.latents != 1:
        raise ConfigurationError(
            f"task {task.name!r} learns one order of each example, got {setup.latents} latents; "
            "set --latents 1"
        )
    event, params = setup.relaxation.event_shape, setup.relaxation.param_shape
    square = len(event) == 2 and event[0] == event[1]
    if not square or params not in (event, event[:1]):
        raise ConfigurationError(
            f"task {task.name!r} needs values [n, n] and params [n, n] or [n], those of "
            f"{setup.relaxation!r} have shapes {list(event)} and {list(params)}; try --relaxation "
            "permutation"
        )
    if not (_has_distribution(setup) or isinstance(setup.relaxation, PerturbAndRelax)):
        raise ConfigurationError(
            f"task {task.name!r} is evaluated without noise: {setup.relaxation!r} has neither a "
            "discrete law with its mode nor an argmax; try --relaxation permutation"
        )
    if setup.networks.params_activation != "none":
        raise ConfigurationError(
            f"task {task.name!r} has no encoder; leave model.params_activation out"
        )


def distributions(
    setup: Setup, params: Tensor, temperature: Tensor, samples: int
) -> RelaxedDistribution:  # batch [samples, B]
    """The law of each example's order, as often as samples are drawn of it.

    An estimator draws one value of each law of a batch; so every estimator can take several.
    """
    q = setup.distribution(params, temperature)
    return q.expand((samples, *q.batch_shape))


def best_order(setup: Setup, params: Tensor) -> Tensor:  # [..., n] int64
    """The item at each rank in the best permutation, without noise.

    The mode of the discrete law; where there is none, the permutation of the highest score.

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
