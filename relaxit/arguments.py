"""Arguments that functions, constructors and layers share, and what they stand for.

They accept names where the contract has objects, sizes that only the tensor has, and dimensions
other than the last ones.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from relaxit.errors import ConfigurationError, OptionsError, ShapeError, Unsupported
from relaxit.estimators import Estimator, SampleEstimator
from relaxit.plugins import default_registry
from relaxit.plugins import estimator as find_estimator
from relaxit.relaxation import Relaxation
from relaxit.tracing import constant_result

__all__ = [
    "estimator_for",
    "floating",
    "move_back",
    "move_last",
    "relaxation_class",
    "relaxation_for",
    "sample_estimator",
    "unstated_sizes",
    "without_dim",
]


def floating(owner: str, what: str, tensor: Tensor) -> Tensor:
    """Return a tensor of a floating-point dtype as it is.

    Raises:
        TypeError: if it is anything else.
    """
    if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
        got = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
        raise TypeError(f"{owner}: {what} must be a floating-point tensor, got {got}")
    return tensor


def sample_estimator(estimator: SampleEstimator | str) -> SampleEstimator:
    """Return an estimator that acts through its sample, given by name or as it is.

    Raises:
        UnknownName: if there is no estimator of this name.
        Unsupported: if it does not act through a sample, such as ``rloo``.
        TypeError: if it is neither an estimator nor a name.

    Example:
        >>> sample_estimator("reinmax")
        ReinMax()
    """
    chosen = find_estimator(estimator) if isinstance(estimator, str) else estimator
    if not isinstance(chosen, Estimator):
        raise TypeError(f"an estimator is given as an object or by its name, got {estimator!r}")
    if not isinstance(chosen, SampleEstimator):
        raise Unsupported(
            f"estimator {chosen.name!r} does not act through a sample: it needs the cost, so use "
            "its method surrogate"
        )
    return chosen


def estimator_for(
    owner: str, estimator: SampleEstimator | str | None, hard: bool
) -> SampleEstimator:
    """Return the estimator of a function that has an argument ``hard``.

    Args:
        owner: name used in error messages.
        estimator: an estimator or its name; if None, ``st-gumbel`` for hard samples and
            ``pathwise`` for soft ones.
        hard: whether hard samples are wanted.

    Raises:
        UnknownName, Unsupported: as :func:`sample_estimator`.
        ConfigurationError: if the estimator returns the other kind of sample.

    Example:
        >>> estimator_for("sample", None, hard=True)
        StraightThroughGumbel()
    """
    if isinstance(estimator, SampleEstimator):
        return _fitting(owner, estimator, hard)
    default = "st-gumbel" if hard else "pathwise"
    name = default if estimator is None else estimator
    chosen: SampleEstimator = getattr(_kept, _named(owner, name, hard))
    return chosen


@constant_result
def _named(owner: str, name: str, hard: bool) -> str:
    chosen = _fitting(owner, sample_estimator(name), hard)
    return _keep(chosen, lambda: chosen)


def _fitting(owner: str, chosen: SampleEstimator, hard: bool) -> SampleEstimator:
    if chosen.hard and not hard:
        raise ConfigurationError(
            f"{owner}: estimator {chosen.name!r} returns hard samples; pass hard=True"
        )
    if hard and not chosen.hard:
        raise ConfigurationError(
            f"{owner}: estimator {chosen.name!r} returns soft samples; omit hard=True, or use "
            "'st-gumbel'"
        )
    return chosen


def without_dim(
    owner: str, temperature: float | Tensor, params: Tensor, dim: int
) -> float | Tensor:
    """Return a temperature that broadcasts to the batch, from one that may also have ``dim``.

    Args:
        owner: name used in error messages.
        temperature: float, or tensor that broadcasts to params without ``dim``, or has as many
            dimensions as params and size 1 at ``dim``.
        params: tensor with the dimension.
        dim: the dimension that is not part of the batch.

    Raises:
        ShapeError: if the tensor has as many dimensions as params, but another size there.
    """
    if not isinstance(temperature, Tensor) or temperature.dim() < params.dim():
        return temperature
    if temperature.dim() > params.dim() or temperature.shape[dim] != 1:
        raise ShapeError(
            f"{owner}: temperature of shape {list(temperature.shape)} does not broadcast to "
            f"{list(params.shape)} with size 1 at dimension {dim}"
        )
    return temperature.squeeze(dim)


def move_last(params: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Move the dimensions of a variable to the end; none are given if they are the last ones."""
    return params.movedim(dims, tuple(range(-len(dims), 0))) if dims else params


def move_back(
    owner: str, value: Tensor, dims: tuple[int, ...], relaxation: Relaxation, rank: int
) -> Tensor:
    """Move the event of a value to where the params of :func:`move_last` came from.

    Args:
        owner: name used in error messages.
        value: value ``[*sample, *batch, *event_shape]``.
        dims: dimensions of the params of a variable, before they were moved.
        relaxation: the structure.
        rank: number of dimensions of params.

    Returns:
        The value as it is, if an event has another number of dimensions than params.

    Raises:
        ShapeError: if the params of a variable have another number of dimensions.
    """
    if not dims:
        return value
    if len(dims) != len(relaxation.param_shape):
        raise ShapeError(
            f"{owner}: dim={dims}, but a variable of {relaxation!r} has params of "
            f"{len(relaxation.param_shape)} dimensions"
        )
    if len(dims) != len(relaxation.event_shape):
        return value
    sampled = value.dim() - rank
    return value.movedim(tuple(range(-len(dims), 0)), tuple(sampled + d % rank for d in dims))


def relaxation_class(name: str) -> type[Relaxation]:
    """Return the class of a relaxation by name.

    Raises:
        UnknownName: if there is no such relaxation.
        TypeError: if it is not a name.
    """
    if not isinstance(name, str):
        raise TypeError(f"a relaxation is given as an object or by its name, got {name!r}")
    cls: type[Relaxation] = default_registry().find("relaxation", name)
    return cls


def unstated_sizes(
    relaxation: Relaxation | type[Relaxation] | str, options: Mapping[str, Any]
) -> tuple[str, ...]:
    """Return the sizes that must come from the tensor; none if the options define a relaxation.

    Raises:
        UnknownName: if there is no such relaxation.
        ConfigurationError: if an option is unknown or illegal, or missing although not a size.

    Example:
        >>> unstated_sizes("categorical", {}), unstated_sizes("categorical", {"categories": 3})
        (('categories',), ())
    """
    if isinstance(relaxation, Relaxation):
        return ()
    cls = relaxation if isinstance(relaxation, type) else relaxation_class(relaxation)
    fields = cls.Options.model_fields
    missing = {key for key, field in fields.items() if field.is_required()} - options.keys()
    sizes = missing & cls.sizes(torch.Size((1,) * 8)).keys()
    if missing - sizes or options.keys() - fields.keys() or not sizes:
        try:
            cls(**options)  # raises, unless all is stated
        except OptionsError as error:
            raise error.without_missing(sizes) from None
    return tuple(key for key in fields if key in sizes)


def relaxation_for(
    relaxation: Relaxation | type[Relaxation] | str,
    shape: torch.Size,
    options: Mapping[str, Any],
) -> Relaxation:
    """Return a relaxation whose sizes come from the shape of params where they are not stated.

    Args:
        relaxation: a relaxation, which is returned as it is, or the class or the name of one.
        shape: shape ``[*batch, *param_shape]`` of params.
        options: options of a relaxation that is given by class or name.

    Raises:
        UnknownName: if there is no such relaxation.
        ConfigurationError: if an option is missing, unknown or illegal.

    Example:
        >>> relaxation_for("categorical", torch.Size([32, 10]), {})
        Categorical(categories=10)
    """
    if isinstance(relaxation, Relaxation):
        return relaxation
    cls: type[Relaxation] = (
        relaxation if isinstance(relaxation, type) else getattr(_kept, _class(relaxation))
    )
    # Sizes are part of the structure: a compiler with dynamic shapes has to take them as constants.
    sizes = {key: operator.index(size) for key, size in cls.sizes(shape).items()}
    fields = sizes | dict(options)
    built: Relaxation = getattr(_kept, _built(cls, tuple(fields.items())))
    return built


class _Kept:
    """Objects built from names and sizes, as attributes, which compiled code can look up."""


_kept = _Kept()
_names: dict[Any, str] = {}


@constant_result
def _class(name: str) -> str:
    cls = relaxation_class(name)
    return _keep(cls, lambda: cls)


@constant_result
def _built(cls: type[Relaxation], fields: tuple[tuple[str, Any], ...]) -> str:
    # A text, because an option may be a list, and 2 and 2.0 are equal but not equally legal.
    return _keep((cls, repr(fields)), lambda: cls(**dict(fields)))


def _keep(key: Any, make: Callable[[], Any]) -> str:
    """Return the name of the attribute that holds the object of a key, which is made once."""
    name = _names.get(key)
    if name is None:
        made, name = make(), f"object_{len(_names)}"
        setattr(_kept, name, made)
        _names[key] = name
    return name
