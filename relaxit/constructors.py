"""Distributions from tensors alone, in the words of ``torch.distributions``.

``relaxit.Categorical(logits=x, temperature=0.5)`` is ``relaxit.get("categorical", categories=K)``
called with ``x``: sizes that the tensor has need not be stated. Every registered relaxation has a
constructor, under its name or an alias written as the name of a class: ``relaxit.Bernoulli``,
``relaxit.Subset(logits, k=3)``, ``relaxit.PermutationPlackettLuce(scores)``.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from relaxit import constraints
from relaxit.arguments import floating, relaxation_class, relaxation_for
from relaxit.distribution import RelaxedDistribution
from relaxit.errors import DomainError, UnknownName
from relaxit.masks import apply_mask
from relaxit.relaxation import Relaxation
from relaxit.shapes import plain_shape
from relaxit.tracing import can_read_values, checks_by_default, known_false

__all__ = ["attribute", "constructor"]


def constructor(name: str) -> Callable[..., RelaxedDistribution]:
    """Return the constructor of a relaxation, which is also an attribute of ``relaxit``.

    Args:
        name: name written as that of a class, such as ``Subset`` or ``TopK``.

    Raises:
        UnknownName: if there is no such relaxation.

    Example:
        >>> import torch
        >>> q = constructor("Categorical")(probs=torch.tensor([0.2, 0.8]), temperature=0.5)
        >>> q.rsample((3,)).shape, q.discrete.mean
        (torch.Size([3, 2]), tensor([0.2000, 0.8000]))
    """
    words = re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()
    return _constructor(name, relaxation_class(words))


def attribute(name: str) -> Callable[..., RelaxedDistribution]:
    """Return the constructor of this name as an attribute of ``relaxit``.

    Raises:
        AttributeError: if there is no such relaxation.
    """
    try:
        return constructor(name)
    except UnknownName as error:
        raise AttributeError(f"module 'relaxit' has no attribute {name!r}: {error}") from error


@cache
def _constructor(name: str, cls: type[Relaxation]) -> Callable[..., RelaxedDistribution]:
    build = _from_logits_or_probs if cls.capabilities.logits else _from_params

    def construct(*args: Any, **kwargs: Any) -> RelaxedDistribution:
        return build(name, cls, *args, **kwargs)

    construct.__name__ = construct.__qualname__ = name
    construct.__signature__ = _signature(cls)  # type: ignore[attr-defined]
    construct.__doc__ = _docstring(cls)
    return construct


def _from_logits_or_probs(
    name: str,
    cls: type[Relaxation],
    *args: Any,
    logits: Tensor | None = None,
    probs: Tensor | None = None,
    temperature: float | Tensor = 1.0,
    mask: Tensor | None = None,
    validate_args: bool | None = None,
    **options: Any,
) -> RelaxedDistribution:
    if args:
        raise TypeError(f"{name}: write logits=... or probs=...; a tensor alone could be either")
    if (logits is None) == (probs is None):
        got = "neither" if logits is None else "both"
        raise TypeError(f"{name}: pass either logits or probs, got {got}")
    if probs is not None:
        logits = _logits(name, cls, floating(name, "probs", probs), validate_args)
    assert logits is not None
    params = apply_mask(name, floating(name, "logits", logits), mask)
    relaxation = relaxation_for(cls, plain_shape(params), options)
    return relaxation(params, temperature, validate_args=validate_args)


def _logits(name: str, cls: type[Relaxation], probs: Tensor, validate_args: bool | None) -> Tensor:
    """Convert probabilities to logits; 0 excludes a category, 0 and 1 decide a bit."""
    category = cls.capabilities.logits == "category"
    if validate_args is None:
        validate_args = can_read_values(probs) and checks_by_default()
    if validate_args:
        legal = constraints.simplex if category else constraints.unit_interval
        if known_false(legal.check(probs.detach()).all()):
            wanted = "be at least 0 and sum to 1" if category else "lie in [0, 1]"
            raise DomainError(f"{name}: probs must {wanted}; pass scores as logits=")
    return probs.log() if category else torch.logit(probs)


def _from_params(
    name: str,
    cls: type[Relaxation],
    logits: Tensor,
    *values: Any,
    temperature: float | Tensor = 1.0,
    mask: Tensor | None = None,
    validate_args: bool | None = None,
    **options: Any,
) -> RelaxedDistribution:
    if "probs" in options:
        raise TypeError(
            f"{name} takes logits, not probs: the probabilities of its parts do not determine the "
            "distribution; pass their logarithms as scores"
        )
    params = apply_mask(name, floating(name, "logits", logits), mask)
    stated = [key for key in cls.Options.model_fields if key not in cls.sizes(params.shape)]
    if len(values) > len(stated):
        raise TypeError(
            f"{name} takes logits and {', '.join(stated) or 'no options'} by position, got "
            f"{len(values)} values after logits"
        )
    named = dict(zip(stated, values, strict=False))
    if twice := named.keys() & options.keys():
        raise TypeError(f"{name}: {', '.join(sorted(twice))} is given twice")
    relaxation = relaxation_for(cls, plain_shape(params), named | options)
    return relaxation(params, temperature, validate_args=validate_args)


def _signature(cls: type[Relaxation]) -> inspect.Signature:
    """Return the signature that help() displays."""
    known = cls.sizes(torch.Size((8, 8, 8)))
    either = inspect.Parameter.POSITIONAL_OR_KEYWORD
    named = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter("logits", either)]
    if cls.capabilities.logits:
        parameters = [inspect.Parameter(key, named, default=None) for key in ("logits", "probs")]
    kind = named if cls.capabilities.logits else either
    for key, field in cls.Options.model_fields.items():
        if key not in known:
            default = inspect.Parameter.empty if field.is_required() else field.default
            parameters.append(inspect.Parameter(key, kind, default=default))
    defaults = {"temperature": 1.0, "mask": None, "validate_args": None}
    parameters += [inspect.Parameter(k, named, default=v) for k, v in defaults.items()]
    return inspect.Signature(_required_first(parameters))


def _required_first(parameters: list[inspect.Parameter]) -> list[inspect.Parameter]:
    """Order parameters as Python requires it."""
    return sorted(parameters, key=lambda p: (p.kind, p.default is not p.empty))


def _docstring(cls: type[Relaxation]) -> str:
    first = "Either ``logits`` or ``probs`` must be given. " if cls.capabilities.logits else ""
    known = cls.sizes(torch.Size((8, 8, 8)))
    options = "".join(
        f"    {key}: {field.description}.\n"
        for key, field in cls.Options.model_fields.items()
        if key not in known
    )
    return (
        f"Return the distribution of {cls.summary}.\n\n{first}Sizes are those of the tensor. See "
        f":class:`{cls.__module__}.{cls.__qualname__}` for the structure.\n\nArgs:\n"
        "    logits: params ``[*batch, *param_shape]``, of a floating-point dtype.\n"
        f"{options}"
        "    temperature: positive float, or tensor that broadcasts to the batch shape.\n"
        "    mask: bool tensor that broadcasts to logits, True where a choice is allowed.\n"
        "    validate_args: whether to check values as well as shapes.\n"
    )
