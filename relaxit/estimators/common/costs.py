"""What a cost may return, decided once for all estimators.

A cost returns real numbers ``[*lead]``, where ``lead`` begins the batch shape. An estimator that
only weights its draws by the costs accepts whatever becomes such a tensor without loss: numbers,
lists of numbers and NumPy arrays, as an environment returns them. An estimator that differentiates
the cost needs a floating-point tensor with a graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relaxit.errors import ShapeError, Unsupported
from relaxit.relaxation import RelaxedDistribution

__all__ = [
    "Cost",
    "Numbers",
    "as_costs",
    "checked",
    "checked_cost",
    "described",
    "to_tensor",
]

Cost = Callable[[Tensor], Tensor]
"""Function from values ``[*batch, *event]`` to costs whose shape begins the batch shape."""

Numbers = Tensor | np.ndarray | Sequence[Any] | float
"""Real numbers as users have them: a tensor, an array, a list of numbers, a number."""


def checked_cost(
    name: str, q: RelaxedDistribution, cost: Cost, *, differentiated: bool = False
) -> Cost:
    """Return the cost as a function whose result is certain to be a floating tensor ``[*lead]``.

    An estimator wraps its cost once, at the top of ``surrogate``. Integer and boolean costs become
    float32, and costs on another device are moved to that of params.

    Args:
        name: name of the estimator, for messages.
        q: the distribution of the values, whose batch shape the costs must begin.
        cost: function from values ``[*batch, *event]`` to costs ``[*lead]``.
        differentiated: whether the estimator differentiates the cost, which must then return a
            floating-point tensor; one with a graph where the value has one.

    Raises:
        TypeError: when it is called, if the cost does not return real numbers, or, if it is
            differentiated, anything but a tensor.
        ShapeError: if the shape of the costs does not begin the batch shape.
        Unsupported: if the cost is differentiated and has no gradient.

    Example:
        >>> import torch, relaxit
        >>> q = relaxit.get("binary")(torch.zeros(3))
        >>> checked_cost("mine", q, lambda z: [1, 2, 3])(q.sample_hard())
        tensor([1., 2., 3.])
    """
    instead = "estimator 'rloo'" if differentiated else ""
    return checked(f"estimator {name!r}", "the cost", q, cost, instead)


def checked(
    owner: str, noun: str, q: RelaxedDistribution, function: Cost, instead: str = ""
) -> Cost:
    """Return a function of values as :func:`checked_cost` does; messages name owner and noun.

    If the function is differentiated, ``instead`` is what needs no derivative.
    """

    def evaluate(value: Tensor) -> Tensor:
        returned: Any = function(value)
        if instead:
            _require_gradient(owner, noun, q, returned, value, instead)
        return as_costs(f"{owner}: {noun}", q, returned)

    return evaluate


def as_costs(what: str, q: RelaxedDistribution, returned: Numbers) -> Tensor:
    """Convert numbers to costs: a floating tensor ``[*lead]`` on the device of params.

    Raises:
        TypeError: if they are not real numbers; names ``what``.
        ShapeError: if the shape does not begin the batch shape.
    """
    if isinstance(returned, Tensor) and not returned.is_complex():
        costs = returned  # no message is composed here, whose sizes a compiler would fix
    else:
        costs = to_tensor(_wanted(what, q), returned)
    shape, batch = list(costs.shape), list(q.batch_shape)
    if batch[: len(shape)] != shape:
        remedy = "squeeze(-1)" if shape[-1] == 1 else "sum(-1)"
        begins = batch[: len(shape) - 1] == shape[:-1] and (len(shape) > 1 or not batch)
        raise ShapeError(
            f"{what} must have one number per row, but shape {shape} does not begin the batch "
            f"shape {batch}{f'; use .{remedy}' if begins else ''}"
        )
    if not costs.is_floating_point():
        costs = costs.to(torch.float32)
    return costs.to(q.params.device)


def to_tensor(wanted: str, numbers: Numbers) -> Tensor:
    """Return numbers as a tensor of the same real numbers.

    An array keeps its dtype. Numbers and lists get torch's default dtype, or int64.

    Raises:
        TypeError: if they are not real numbers; the message begins with ``wanted``.

    Example:
        >>> to_tensor("the reward must be numbers", [1.5, 2])
        tensor([1.5000, 2.0000])
    """
    if isinstance(numbers, Tensor):
        if numbers.is_complex():
            raise TypeError(f"{wanted}, got {described(numbers)}; use .real or .abs()")
        return numbers
    if _holds_tensor(numbers):
        raise TypeError(f"{wanted}, got {described(numbers)} of tensors; use torch.stack(...)")
    try:
        array = np.array(numbers)
    except ValueError:  # rows of different lengths
        array = np.array(None)
    if array.dtype.kind not in "biuf":
        hint = "; is a return missing?" if numbers is None else ""
        raise TypeError(f"{wanted}, got {described(numbers)}{hint}")
    tensor = torch.from_numpy(array)
    listed = not hasattr(numbers, "dtype") and array.dtype.kind == "f"
    return tensor.to(torch.get_default_dtype()) if listed else tensor


def described(thing: object) -> str:
    """Return what a thing is, in a word or two for a message.

    Example:
        >>> described(None), described([1]), described(torch.zeros(2).to(torch.complex64))
        ('None', 'a list', 'a complex64 tensor')
    """
    if thing is None:
        return "None"
    if isinstance(thing, Tensor):
        return f"a {str(thing.dtype).removeprefix('torch.')} tensor"
    name = "NumPy array" if isinstance(thing, np.ndarray) else type(thing).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _wanted(what: str, q: RelaxedDistribution) -> str:
    return f"{what} must be a tensor [*lead] that begins the batch shape {list(q.batch_shape)}"


def _holds_tensor(numbers: object) -> bool:
    if isinstance(numbers, Tensor):
        return True
    return isinstance(numbers, list | tuple) and any(_holds_tensor(each) for each in numbers)


def _require_gradient(
    owner: str, noun: str, q: RelaxedDistribution, returned: Any, value: Tensor, instead: str
) -> None:
    if not isinstance(returned, Tensor):
        wanted = _wanted(f"{owner}: {noun}", q)
        to_tensor(wanted, returned)  # raises if they are not numbers either
        raise TypeError(
            f"{wanted}, got {described(returned)}, which has no gradient; compute it with torch, "
            f"or use {instead}"
        )
    if not returned.is_floating_point():
        raise Unsupported(
            f"{owner} differentiates {noun}, but {returned.dtype} has no gradient; return floating "
            f"point numbers, or use {instead}"
        )
    # A compiler does not always know what requires a gradient.
    traced = torch.compiler.is_compiling()
    if value.requires_grad and not returned.requires_grad and not traced:
        raise Unsupported(
            f"{owner} differentiates {noun}, which has no gradient: it does not depend on the "
            f"sample, or is detached from it; compute it with a graph, or use {instead}"
        )
