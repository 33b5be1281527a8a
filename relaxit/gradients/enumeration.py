"""Enumerate all joint values of a few variables, with masses, costs and the exact gradient."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from relaxit.errors import DomainError, ShapeError, Unsupported
from relaxit.estimators import Cost
from relaxit.gradients.chunks import chunks_of
from relaxit.relaxation import Relaxation

__all__ = ["JointValues", "enumerate_joint", "number_of_states"]


@dataclass(frozen=True)
class JointValues:
    """The S joint values of V variables, with masses and costs.

    Attributes:
        hard: joint values ``[S, V, *event]``.
        mass: probabilities ``[S]``; joint values of mass 0 are left out.
        cost: costs ``[S]``.
        slopes: derivatives of the cost with respect to the value, ``[S, V, *event]``.
        gradient: gradient of the expected cost, ``[V, *param_shape]``.
    """

    hard: Tensor
    mass: Tensor
    cost: Tensor
    slopes: Tensor
    gradient: Tensor


def number_of_states(relaxation: Relaxation, variables: int) -> int:
    """Return the number of joint values of ``variables`` variables.

    Raises:
        Unsupported: if the relaxation has no discrete distribution, or does not list its values.

    Example:
        >>> import relaxit
        >>> number_of_states(relaxit.get("categorical", categories=8), 4)
        4096
    """
    if not relaxation.capabilities.discrete_distribution:
        raise Unsupported(
            f"an exact gradient needs the discrete distribution, which relaxation "
            f"{relaxation.name!r} does not have"
        )
    return len(relaxation.enumerate_vertices()) ** variables


def enumerate_joint(relaxation: Relaxation, params: Tensor, cost: Cost) -> JointValues:
    """Evaluate all joint values.

    Args:
        relaxation: relaxation with a discrete distribution whose values can be listed.
        params: parameters ``[V, *param_shape]``.
        cost: function from ``[..., V, *event]`` to ``[...]``.

    Raises:
        ShapeError: if the cost does not have one entry per joint value.
        DomainError: if a cost is not finite.

    Example:
        >>> import relaxit
        >>> three, weights = relaxit.get("categorical", categories=3), torch.tensor([1.0, 2.0, 4.0])
        >>> logits = torch.tensor([[0.0, 1.0, -1.0]])
        >>> joint = enumerate_joint(three, logits, lambda z: (z * weights).sum((-2, -1)))
        >>> joint.cost, joint.mass
        (tensor([1., 2., 4.]), tensor([0.2447, 0.6652, 0.0900]))
        >>> joint.gradient  # p * (weights - mean)
        tensor([[-0.2289,  0.0430,  0.1859]])
    """
    vertices = relaxation.enumerate_vertices().to(params.device, params.dtype)
    variables = params.shape[0]
    leaf = params.detach().clone().requires_grad_()
    distribution = relaxation.discrete(leaf)
    single = distribution.log_prob(
        vertices.unsqueeze(1).expand(-1, *leaf.shape[:1], *vertices.shape[1:])
    )
    index = torch.cartesian_prod(*[torch.arange(len(vertices), device=params.device)] * variables)
    index = index.view(-1, variables)  # for one variable the shape is [N]
    log_mass = single[index, torch.arange(variables, device=params.device)].sum(-1)
    possible = log_mass.detach() > -torch.inf
    index, log_mass = index[possible], log_mass[possible]
    hard = vertices[index]
    costs, slopes = _costs_and_slopes(cost, hard)
    if not bool(costs.isfinite().all()):
        raise DomainError("a cost of this problem is not finite")
    # The mean is subtracted to reduce rounding. It has no gradient, as the masses sum to one.
    expected = (log_mass.detach().exp() * costs).sum()
    (gradient,) = torch.autograd.grad((log_mass.exp() * (costs - expected)).sum(), leaf)
    return JointValues(hard, log_mass.detach().exp(), costs, slopes, gradient)


def _costs_and_slopes(cost: Cost, hard: Tensor) -> tuple[Tensor, Tensor]:
    """Compute costs ``[S]`` and derivatives ``[S, V, *event]``, in chunks that fit into memory."""

    def both(values: Tensor) -> tuple[Tensor, Tensor]:
        leaf = values.detach().clone().requires_grad_()
        with torch.enable_grad():
            costs = cost(leaf)
            if costs.shape != leaf.shape[:1]:
                raise ShapeError(
                    f"the cost of values {list(leaf.shape)} has shape {list(costs.shape)}, "
                    f"expected {list(leaf.shape[:1])}"
                )
            (slope,) = torch.autograd.grad(costs.sum(), leaf)
        return costs.detach(), slope

    chunks = [
        both(hard[part]) for part in chunks_of(len(hard), lambda n: both(hard[:n]), hard.device)
    ]
    return torch.cat([costs for costs, _ in chunks]), torch.cat([slopes for _, slopes in chunks])
