"""Values and gradients that differ, and autograd functions with derivatives in every mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from relaxit.tracing import recorded

__all__ = ["Levels", "in_all_modes", "no_change", "replace_gradient"]


class Levels:
    """The number of levels of forward mode in which a call is differentiated."""

    def __init__(self) -> None:
        self.number = 0


def in_all_modes(
    reverse: type[Function], both: type[Function], ordinary: Callable[..., Any], *arguments: Any
) -> Any:
    """Call an autograd function so that it has derivatives in every combination of modes.

    Compilers do not support a ``jvp`` and get the function without it. PyTorch calls ``jvp`` once
    for each level of forward mode, with forward mode disabled: at the second level the derivative
    of what it computes would be missing, without an error. So the levels are counted, and where
    there are two, the function is computed by ordinary operations instead. So it is where a tracer
    records operations, which would lose the derivatives of a function.

    Args:
        reverse: the function without ``jvp``, for compilers. Its last argument is None.
        both: the function with ``jvp``, which adds 1 to the number of its last argument, a
            :class:`Levels`.
        ordinary: the same by operations that PyTorch differentiates, without the last argument.
        arguments: the other arguments.
    """
    if recorded():  # also without a gradient now: the program may be differentiated later
        return ordinary(*arguments)
    if torch.compiler.is_compiling():
        return reverse.apply(*arguments, None)
    levels = Levels()
    value = both.apply(*arguments, levels)
    return value if levels.number < 2 else ordinary(*arguments)


def no_change(x: Tensor) -> Tensor:
    """Return zeros with the derivatives of ``x``; those of entries that are not finite are zero.

    ``value + no_change(x)`` is exactly ``value``. It takes the place of an autograd function where
    operations are recorded, see :func:`relaxit.tracing.recorded`.

    Example:
        >>> x = torch.tensor([2.0, -torch.inf], requires_grad=True)
        >>> y = 5 + no_change(x)
        >>> y.sum().backward()
        >>> y, x.grad
        (tensor([5., 5.], grad_fn=<AddBackward0>), tensor([1., 0.]))
    """
    finite = x.masked_fill(~x.detach().isfinite(), 0.0)
    return finite - finite.detach()


class _Through(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(hard: Tensor, soft: Tensor, levels: Levels | None) -> Tensor:
        del soft, levels
        return hard.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.levels = inputs[2]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, None]:
        return None, grad, None


class _ThroughBothModes(_Through):
    @staticmethod
    def jvp(ctx: Any, hard: Tensor, soft: Tensor, _: None) -> Tensor:
        ctx.levels.number += 1
        return soft.clone()  # a tangent may not be returned as it is


def _through(hard: Tensor, soft: Tensor) -> Tensor:
    return hard + no_change(soft).to(hard.dtype)


def replace_gradient(hard: Tensor, soft: Tensor) -> Tensor:
    """Return exactly the value of ``hard``, with the gradient of ``soft`` (same shape).

    ``hard + soft - soft.detach()`` misses the vertex by a rounding error. An autograd
    function does not, in any dtype, and works under ``torch.func.vmap`` and ``torch.compile``. In
    forward mode (``torch.func.jvp``) the tangent is that of ``soft``.

    Example:
        >>> soft = torch.tensor([0.3, 0.7], requires_grad=True)
        >>> replace_gradient(torch.tensor([0.0, 1.0]), soft)
        tensor([0., 1.], grad_fn=<_ThroughBothModesBackward>)
    """
    value: Tensor = in_all_modes(_Through, _ThroughBothModes, _through, hard.detach(), soft)
    return value
