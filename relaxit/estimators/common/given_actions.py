"""Actions drawn earlier and the rewards that they got, as hard values and their costs."""

from __future__ import annotations

import torch
from torch import Tensor

from relaxit.errors import DomainError, ShapeError
from relaxit.estimators.common.costs import Numbers, to_tensor
from relaxit.relaxation import RelaxedDistribution
from relaxit.tracing import may_branch_on_values

__all__ = ["given_actions"]


def given_actions(
    name: str, q: RelaxedDistribution, action: Numbers, reward: Numbers
) -> tuple[Tensor, Tensor, torch.Size]:
    """Return hard values, their costs, which are the negative rewards, and the sample shape.

    Integers are the indices of one of K categories where they fit the reward as such. For other
    structures, such as bits, they are the values themselves.

    Args:
        name: name of the estimator, for messages.
        q: the distribution.
        action: hard values ``[*sample, *batch, *event]``, or indices ``[*sample, *batch]``.
        reward: rewards ``[*sample, *lead]``, where ``lead`` begins the batch shape.

    Returns:
        Hard values ``[*sample, *batch, *event]`` in the dtype of params, floating costs ``[*sample,
        *lead]``, and the sample shape.

    Raises:
        TypeError: if action or reward are not real numbers.
        ShapeError: if the shapes do not fit, or fit in two ways.
        DomainError: if an action has mass 0, where values can be read.

    Example:
        >>> import torch, relaxit
        >>> q = relaxit.get("categorical", categories=3)(torch.zeros(2, 3))
        >>> given_actions("mine", q, [0, 2], [1.0, 5.0])
        (tensor([[1., 0., 0.],
                [0., 0., 1.]]), tensor([-1., -5.]), torch.Size([]))
    """
    owner, batch, device = f"estimator {name!r}", q.batch_shape, q.params.device
    values = to_tensor(f"{owner}: the action must be hard values or indices", action).to(device)
    rewards = to_tensor(f"{owner}: the reward must be real numbers", reward).to(device)
    tails = _tails(q, values)
    readings = [values.shape[: values.dim() - len(t)] for t in tails if _ends(values.shape, t)]
    if not readings:
        raise ShapeError(
            f"{owner}: an action must be {' or '.join(map(_ending_in, tails))}, "
            f"got shape {list(values.shape)}"
        )
    fitting = [sample for sample in readings if _fits(rewards.shape, sample, batch)]
    if not fitting:
        shape, expected = list(rewards.shape), readings[0]
        column = shape[-1:] == [1] and _fits(rewards.shape[:-1], expected, batch)
        raise ShapeError(
            f"{owner}: a reward of shape {shape} does not fit samples {list(expected)} of batch "
            f"shape {list(batch)}: it must be [*sample, *lead], where lead begins the batch shape"
            f"{'; use .squeeze(-1)' if column else ''}"
        )
    if len(fitting) > 1:
        raise ShapeError(
            f"{owner}: integer actions of shape {list(values.shape)} could be indices or one-hot "
            "values; pass one-hot values as .float(), or indices as one-hot values"
        )
    (sample,) = fitting
    if not sample.numel():
        raise ShapeError(f"{owner}: there are no actions in a sample of shape {list(sample)}")
    if len(sample) + len(batch) == values.dim() and q.event_shape:
        values = values.long().unsqueeze(-1) == torch.arange(q.event_shape[-1], device=device)
    hard = values.to(q.params.dtype)
    _require_mass(owner, q, hard)
    costs = -(rewards if rewards.is_floating_point() else rewards.to(torch.float32))
    return hard, costs, sample


def _tails(q: RelaxedDistribution, action: Tensor) -> list[torch.Size]:
    """Return the shapes in which an action may end: of indices, if it may be one, and of values."""
    values = q.batch_shape + q.event_shape
    whole = not action.is_floating_point() and action.dtype != torch.bool
    indexed = whole and q.relaxation.capabilities.logits == "category"
    return [q.batch_shape, values] if indexed else [values]


def _ending_in(tail: torch.Size) -> str:
    return f"[{', '.join(['*sample', *map(str, tail)])}]"


def _ends(shape: torch.Size, tail: torch.Size) -> bool:
    return len(shape) >= len(tail) and shape[len(shape) - len(tail) :] == tail


def _fits(shape: torch.Size, sample: torch.Size, batch: torch.Size) -> bool:
    lead = shape[len(sample) :]
    return shape[: len(sample)] == sample and batch[: len(lead)] == lead


def _require_mass(owner: str, q: RelaxedDistribution, hard: Tensor) -> None:
    if not may_branch_on_values(hard):
        return
    possible = q.relaxation.vertices.check(hard)
    if bool(possible.all()):
        with torch.no_grad():
            possible = q.discrete.log_prob(hard) != -torch.inf
    if not bool(possible.all()):
        raise DomainError(
            f"{owner}: {int((~possible).sum())} of {possible.numel()} actions have mass 0 under q: "
            "not a hard value, an index out of range, or a masked choice"
        )
