"""The derivative of a function as a quantity, in eager, transformed, compiled and exported code.

Many quantities are derivatives: marginals are those of a log-partition function, and the best
structure is that of the score of the best one. PyTorch has several ways to differentiate inside of
a function, each of which fails somewhere. Here the right one is chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from relaxit.errors import Unsupported
from relaxit.tracing import followed, recorded, tracers_off, transforms_active

__all__ = ["derivative", "transposed", "value_and_derivative"]

Function = Callable[[Tensor], Tensor]


def derivative(function: Function, at: Tensor, event_dim: int) -> Tensor:
    """Return the derivative of a scalar function of each row, ``[*batch, *event]``.

    It can be differentiated again, with respect to ``at``.

    Args:
        function: maps ``[*batch, *event]`` to ``[*batch]``, each row on its own. Gradients of other
            tensors that it uses are not kept where ``at`` needs none.
        at: where to differentiate.
        event_dim: number of dimensions of a row.

    Raises:
        Unsupported: under ``torch.jit.trace``, which records the size of the batch as a constant.

    Example:
        >>> scores = torch.tensor([0.0, 0.0, 1.0])
        >>> derivative(lambda s: s.logsumexp(-1), scores, event_dim=1)
        tensor([0.2119, 0.2119, 0.5761])
    """
    return value_and_derivative(function, at, event_dim)[1]


def value_and_derivative(function: Function, at: Tensor, event_dim: int) -> tuple[Tensor, Tensor]:
    """Return a function ``[*batch]`` and its derivative, see :func:`derivative`, in one pass.

    Args:
        function: maps ``[*batch, *event]`` to ``[*batch]``, each row on its own.
        at: where to differentiate.
        event_dim: number of dimensions of a row.

    Raises:
        Unsupported: as :func:`derivative`.

    Example:
        >>> value_and_derivative(lambda s: s.logsumexp(-1), torch.zeros(2), event_dim=1)
        (tensor(0.6931), tensor([0.5000, 0.5000]))
    """
    return _pull(lambda x, _: function(x), at, None, event_dim)


def transposed(function: Function, at: Tensor, given: Tensor, event_dim: int) -> Tensor:
    """Apply the transpose of the derivative of a function to a tensor, ``[*batch, *event]``.

    Args:
        function: maps ``[*batch, *event]`` to ``[*batch, ...]``, each row on its own.
        at: where to differentiate; of any value if the function is linear.
        given: tensor of the shape of the result.
        event_dim: number of dimensions of a row of ``at``.

    Raises:
        Unsupported: as :func:`derivative`.

    Example:
        >>> transposed(lambda x: x.cumsum(-1), torch.zeros(3), torch.ones(3), event_dim=1)
        tensor([3., 2., 1.])
    """

    def product(x: Tensor, y: Tensor) -> Tensor:
        terms = function(x) * y
        rank = terms.dim() - (x.dim() - event_dim)
        return terms.flatten(-rank).sum(-1) if rank else terms

    return _pull(product, at, given, event_dim)[1]


def _pull(
    function: Callable[[Tensor, Tensor], Tensor], at: Tensor, given: Tensor | None, event_dim: int
) -> tuple[Tensor, Tensor]:
    """Return ``function(at, given)`` and its derivative in the first argument."""
    other = at if given is None else given
    if recorded():
        return _recorded(function, at, other, event_dim)
    if torch.compiler.is_compiling() or transforms_active() or followed(at):
        return _by_transform(lambda x: function(x, other), at)
    if torch.is_inference_mode_enabled() or at.is_inference():
        with torch.inference_mode(False), torch.no_grad():
            # In inference mode torch.func returns zeros in torch 2.10, without a warning.
            return _pull(function, at.clone(), other.clone(), event_dim)
    again = torch.is_grad_enabled() and (at.requires_grad or other.requires_grad)
    with torch.enable_grad():
        x = at if again and at.requires_grad else at.detach().requires_grad_()
        value = function(x, other)
        (slope,) = torch.autograd.grad(
            value, x, torch.ones_like(value), create_graph=again, materialize_grads=True
        )
        if again and not slope.requires_grad:  # that of a linear function, which can be used alike
            slope = slope + torch.where(torch.ones_like(x, dtype=torch.bool), 0.0, x)
    return (value if again else value.detach()), slope


def _by_transform(function: Function, at: Tensor) -> tuple[Tensor, Tensor]:
    pulled: Any = torch.func.vjp(function, at)
    value, back = pulled
    return value, back(torch.ones_like(value))[0]


def _recorded(
    function: Callable[[Tensor, Tensor], Tensor], at: Tensor, other: Tensor, event_dim: int
) -> tuple[Tensor, Tensor]:
    """Differentiate by operations that tracers record, for batches of any size.

    The derivative is recorded once by itself, on numbers, and the recorded operations are executed.
    """
    if torch.jit.is_tracing():  # type: ignore[attr-defined]
        raise Unsupported(
            "torch.jit.trace would record the size of the batch inside of a derivative as a "
            "constant; use torch.export.export"
        )
    from torch.fx.experimental.proxy_tensor import make_fx

    def both(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return _by_transform(lambda z: function(z, y), x)

    batch = at.shape[: at.dim() - event_dim]
    rows = [x.reshape(-1, *x.shape[len(batch) :]) for x in (at, other)]
    # The size of the batch must differ from all others, or the tracer takes them to be the same.
    several = 3 + max((int(n) for x in rows for n in x.shape[1:]), default=0)
    with tracers_off():
        examples = [
            torch.zeros(several, *map(int, x.shape[1:]), dtype=x.dtype, device=x.device)
            for x in rows
        ]
        graph = make_fx(both, tracing_mode="symbolic")(*examples)
    value, slope = graph(*rows)
    return value.reshape(batch), slope.reshape(batch + slope.shape[1:])
