"""Functions of tensors, one for each job: sample, round, sort, rank, select.

Each takes ``dim=``, the dimension of the choices, and ``mask=``, a bool tensor that is True where a
choice is allowed. What is here works on any structure. The other functions come from plugins
(hook ``relaxit_functions``) and are found under their names: ``gumbel_softmax`` is built in,
``soft_topk`` and ``sample_subset`` come with relaxit-subset, and ``sort``, ``rank``, ``topk`` and
``sinkhorn`` with relaxit-permutation. Where a package is absent, the error says how to install it.

    >>> import torch, relaxit.functional as RF
    >>> RF.gumbel_softmax(torch.zeros(2, 3), hard=True).sum(-1)
    tensor([1., 1.])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from relaxit.aliases import Generator, Shape
from relaxit.arguments import estimator_for, floating, move_back, move_last, relaxation_for
from relaxit.arithmetic import without_autocast
from relaxit.autograd import replace_gradient
from relaxit.errors import ConfigurationError, ShapeError, UnknownName
from relaxit.estimators import SampleEstimator
from relaxit.masks import apply_mask
from relaxit.plugins import default_registry
from relaxit.relaxation import Relaxation
from relaxit.shapes import plain_shape

__all__ = ["sample", "straight_through"]


def sample(
    params: Tensor,
    relaxation: Relaxation | str,
    /,
    temperature: float | Tensor = 1.0,
    *,
    hard: bool = False,
    dim: int | Sequence[int] | None = None,
    mask: Tensor | None = None,
    estimator: SampleEstimator | str | None = None,
    sample_shape: Shape = (),
    generator: Generator = None,
    **options: Any,
) -> Tensor:
    """Draw a sample of any structure, with a gradient.

    Args:
        params: parameters ``[...]``, with the dimensions ``dim`` of one variable.
        relaxation: a relaxation, or the name of one, such as ``"subset"``. Sizes that the tensor
            has need not be given as options.
        temperature: positive float, or tensor that broadcasts to the batch.
        hard: whether to return hard samples. Their gradient is that of the soft sample of the same
            noise (straight-through), or that of the estimator.
        dim: dimension or dimensions of params of one variable; the last ones if None.
        mask: bool tensor that broadcasts to params, True where a choice is allowed.
        estimator: estimator of the gradient, or its name. Those that return hard samples need
            ``hard=True``.
        sample_shape: shape of the independent samples.
        generator: source of randomness.
        options: options of a relaxation that is given by name, such as ``k=3``.

    Returns:
        ``[*sample, ...]`` in the dtype of params, with the event at ``dim`` if it has as many
        dimensions as the params of a variable, and in the last dimensions otherwise.

    Raises:
        UnknownName: if there is no such relaxation or estimator.
        ConfigurationError: if an option is missing, unknown or illegal, or the estimator does not
            fit ``hard``.
        Unsupported: if the estimator does not support the structure.
        TypeError, ShapeError, DomainError: if params, mask or temperature are not legal.

    Example:
        >>> import torch
        >>> z = sample(torch.zeros(5, 3, 2), "categorical", 0.5, hard=True, dim=1)
        >>> z.shape, z.sum(1).unique()
        (torch.Size([5, 3, 2]), tensor([1.]))
    """
    floating("sample", "params", params)
    chosen = estimator_for("sample", estimator, hard)
    scores = apply_mask("sample", params, mask)
    dims = () if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    scores = move_last(scores, dims)
    structure = relaxation_for(relaxation, plain_shape(scores), options)
    chosen.check(structure)
    with without_autocast(scores):
        value = chosen.sample(structure(scores, temperature), sample_shape, generator)
    return move_back("sample", value, dims, structure, params.dim())


def straight_through(
    soft: Tensor, hard: Tensor | None = None, *, dim: int = -1, mask: Tensor | None = None
) -> Tensor:
    """Return hard values exactly, with the gradient of soft ones.

    Args:
        soft: soft values ``[...]`` with gradient.
        hard: hard values of the same shape; if None, the one-hot vectors of the largest soft value
            along ``dim``.
        dim: dimension of the choices, if ``hard`` is None.
        mask: bool tensor that broadcasts to soft, True where a choice is allowed, if ``hard`` is
            None.

    Returns:
        The hard values, in the dtype of soft. ``hard + soft - soft.detach()``, which is seen
        often, misses them by a rounding error.

    Raises:
        TypeError: if soft is not a floating-point tensor.
        ShapeError: if hard has another shape, or there are no choices.
        ConfigurationError: if there is a mask and hard values are given.

    Example:
        >>> import torch
        >>> soft = torch.tensor([0.2, 0.7, 0.1], requires_grad=True)
        >>> straight_through(soft)
        tensor([0., 1., 0.], grad_fn=<_ThroughBothModesBackward>)

    Reference: Bengio, Leonard, Courville, arXiv:1308.3432, section 4.
    """
    floating("straight_through", "soft", soft)
    if hard is None:
        if soft.dim() == 0 or soft.shape[dim] == 0:
            raise ShapeError(f"straight_through: no choices in soft values {list(soft.shape)}")
        scores = apply_mask("straight_through", soft.detach(), mask)
        best = scores.argmax(dim, keepdim=True)
        hard = torch.zeros_like(scores).scatter_(dim, best, 1.0)
    elif mask is not None:
        raise ConfigurationError("straight_through: a mask does not apply to given hard values")
    elif hard.shape != soft.shape:
        raise ShapeError(
            f"straight_through: hard values {list(hard.shape)} and soft values "
            f"{list(soft.shape)} differ in shape"
        )
    return replace_gradient(hard.to(soft.dtype), soft)


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return default_registry().find("function", name)
    except UnknownName as error:
        raise AttributeError(f"module {__name__!r}: {error}") from error


def __dir__() -> list[str]:
    return sorted({*__all__, *default_registry().items("function")})
