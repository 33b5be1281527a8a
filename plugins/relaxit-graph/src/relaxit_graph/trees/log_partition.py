"""The log-partition function of spanning trees and its marginals, with derivatives of every order.

The marginals are the first derivative of log Z, so that their own derivative is symmetric and its
product with a vector is the same in both modes. It is computed by differentiating the elimination
(:mod:`relaxit_graph.trees.elimination`) in forward mode, which keeps the error of each entry small.

Where code may branch on values, the inverse of a matrix replaces the elimination for those graphs
whose marginals it gives to enough digits (:mod:`relaxit_graph.trees.inverse`). For the others,
eliminations use plain numbers, and logarithms where plain numbers underflow. Elsewhere (on a GPU,
under transforms, in compiled and exported code) they use logarithms.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from relaxit.autograd import Levels
from relaxit.dtypes import longest_dtype
from relaxit.tracing import may_branch_on_values, recorded
from relaxit_graph.trees.arithmetic import ALL_TREES, Arithmetic, Numbers
from relaxit_graph.trees.elimination import differentiate, eliminate
from relaxit_graph.trees.inverse import change_by_inverse, sums_by_inverse
from relaxit_graph.trees.underflow import as_rows, with_plain_numbers

__all__ = ["MOST_RANGE", "log_partition"]

MOST_RANGE = 2.0**40
"""Range of the log-weights of edges that trees need, beyond which marginals are wrong: rounding
errors of this range are 1e-4 of a nat."""


def log_partition(x: Tensor, arithmetic: Arithmetic = ALL_TREES) -> tuple[Tensor, Tensor]:
    """Return log Z of the trees directed to node 0, and the marginals of their edges.

    Every node i but 0 has one edge i -> j, and the probability of a tree is proportional to the
    exponential of the sum of x_ij over its edges. For undirected trees x is symmetric, and the
    marginal of an edge is the sum of those of its two directions.

    Args:
        x: log-weights ``[*batch, n, n]`` of a floating dtype; ``-inf`` excludes an edge. The row of
            node 0 and the diagonal are not read. From every node a path has to lead to node 0.
        arithmetic: the numbers to compute with, which decide which trees are summed over, and how
            accurate an inverse has to be.

    Returns:
        ``[*batch]`` and ``[*batch, n, n]`` in float64, where the device has it. The row of node 0
        is zero. Both have derivatives of every order in x, zero where an edge is excluded.

    Example:
        >>> log_z, marginals = log_partition(torch.zeros(3, 3))
        >>> log_z.exp()  # three trees of three nodes
        tensor(3.0000, dtype=torch.float64)
        >>> marginals + marginals.mT
        tensor([[0.0000, 0.6667, 0.6667],
                [0.6667, 0.0000, 0.6667],
                [0.6667, 0.6667, 0.0000]], dtype=torch.float64)
    """
    wide = x.to(longest_dtype(x.device))
    log_z, marginals, *_ = _differentiable(_Trees, _ordinary, arithmetic, wide)
    return log_z, marginals


def _differentiable(
    function: type[Function], ordinary: Callable[..., Any], arithmetic: Arithmetic, *given: Tensor
) -> Any:
    """Call a function with derivatives of its own, or ordinary operations where it has none.

    These are compiled and recorded code, and two levels of forward mode, see
    :func:`relaxit.autograd.in_all_modes`.
    """
    if recorded() or torch.compiler.is_compiling():
        return ordinary(arithmetic, *given)
    levels = Levels()
    value = function.apply(*given, arithmetic, levels)
    return value if levels.number < 2 else ordinary(arithmetic, *given)


def _ordinary(arithmetic: Arithmetic, x: Tensor) -> tuple[Tensor, Tensor]:
    log_z, marginals, _ = eliminate(as_rows(x), arithmetic.wide())
    return log_z.reshape(x.shape[:-2]), marginals.reshape(x.shape)


def _ordinary_curvature(arithmetic: Arithmetic, x: Tensor, along: Tensor, *_: Tensor) -> Tensor:
    """Multiply the derivative of the marginals, which is symmetric, by a vector."""
    change: Tensor = torch.func.vjp(lambda x: _ordinary(arithmetic, x)[1], x)[1](along)[0]
    return change


def _values(numbers: Numbers, x: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
    log_z, marginals, smallest = eliminate(x, numbers)
    return (log_z, marginals), smallest


def _curvature(numbers: Numbers, x: Tensor, along: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
    change, smallest = differentiate(x, along, numbers)
    return (change,), smallest


def _eliminate_others(
    compute: Callable[..., tuple[tuple[Tensor, ...], Tensor]],
    arithmetic: Arithmetic,
    found: tuple[Tensor, ...],
    inverse: Tensor,
    *given: Tensor,
) -> None:
    """Replace results of those graphs whose inverse is NaN by those of an elimination."""
    lost = inverse[:, 0, 0].isnan()
    if bool(lost.any()):
        right = with_plain_numbers(compute, *(x[lost] for x in given), arithmetic=arithmetic)
        for result, other in zip(found, right, strict=True):
            result[lost] = other


class _Trees(Function):
    """Log Z, the marginals, and the inverse, which is not differentiated but used again."""

    @staticmethod
    def forward(x: Tensor, arithmetic: Arithmetic, levels: Levels) -> tuple[Tensor, Tensor, Tensor]:
        del levels
        rows = as_rows(x)
        if arithmetic.inverse and may_branch_on_values(x):
            log_z, marginals, inverse = sums_by_inverse(rows, arithmetic.inverse)
            _eliminate_others(_values, arithmetic, (log_z, marginals), inverse, rows)
        else:
            log_z, marginals = with_plain_numbers(_values, rows, arithmetic=arithmetic)
            inverse = x.new_full((), math.nan).expand(x.shape)
        return log_z.reshape(x.shape[:-2]), marginals.reshape(x.shape), inverse.reshape(x.shape)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        x, ctx.arithmetic, ctx.levels = inputs
        ctx.mark_non_differentiable(output[2])
        ctx.save_for_backward(x, *output[1:])
        ctx.save_for_forward(x, *output[1:])

    @staticmethod
    def backward(
        ctx: Any, grad_log: Tensor, grad_marginals: Tensor, _: Tensor
    ) -> tuple[Tensor, None, None]:
        x, marginals, inverse = ctx.saved_tensors
        change = _times(ctx.arithmetic, x, inverse, grad_marginals)
        return grad_log[..., None, None] * marginals + change, None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> tuple[Tensor, Tensor, None]:
        ctx.levels.number += 1
        x, marginals, inverse = ctx.saved_tensors
        change = _times(ctx.arithmetic, x, inverse, tangent)
        return (marginals * tangent).sum((-2, -1)), change, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], x: Tensor, *rest: Any) -> tuple[Any, Any]:
        return _Trees.apply(x.movedim(in_dims[0], 0), *rest), (0, 0, 0)


def _times(arithmetic: Arithmetic, x: Tensor, inverse: Tensor, along: Tensor) -> Tensor:
    product: Tensor = _differentiable(
        _Curvature, _ordinary_curvature, arithmetic, x, along, inverse
    )
    return product


class _Curvature(Function):
    """The derivative of the marginals times a vector."""

    @staticmethod
    def forward(
        x: Tensor, along: Tensor, inverse: Tensor, arithmetic: Arithmetic, levels: Levels
    ) -> Tensor:
        del levels
        given = as_rows(x), as_rows(along)
        if arithmetic.inverse and may_branch_on_values(x):
            inverse = as_rows(inverse)
            change = change_by_inverse(given[0], inverse, given[1])
            _eliminate_others(_curvature, arithmetic, (change,), inverse, *given)
        else:
            (change,) = with_plain_numbers(_curvature, *given, arithmetic=arithmetic)
        return change.reshape(x.shape)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, along, inverse, ctx.arithmetic, ctx.levels = inputs
        ctx.save_for_backward(x, along, inverse)
        ctx.save_for_forward(x, along, inverse)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        x, along, inverse = ctx.saved_tensors
        third = _third(ctx.arithmetic, x, along, grad)
        return third, _times(ctx.arithmetic, x, inverse, grad), None, None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, turn: Tensor, *_: None) -> Tensor:
        ctx.levels.number += 1
        x, along, inverse = ctx.saved_tensors
        third = _third(ctx.arithmetic, x, along, tangent)
        return _times(ctx.arithmetic, x, inverse, turn) + third

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *given: Any) -> tuple[Tensor, int]:
        tensors, rest = given[:3], given[3:]
        rows = (
            y.expand(info.batch_size, *y.shape) if dim is None else y.movedim(dim, 0)
            for y, dim in zip(tensors, in_dims, strict=False)
        )
        return _Curvature.apply(*rows, *rest), 0


def _third(arithmetic: Arithmetic, x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Contract the third derivative of log Z, which is symmetric, with two vectors.

    It is rare, so everything is computed again by ordinary operations.
    """
    contracted: Tensor = torch.func.vjp(lambda x: _ordinary_curvature(arithmetic, x, a), x)[1](b)[0]
    return contracted
