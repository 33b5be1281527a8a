"""Named parts of params: several tensors, stored as one.

A distribution has one tensor of params, so that everything that handles it, from temperatures to
estimators, needs to know one shape only. Where params consist of parts, such as the scores of the
states of a chain and those of neighbouring states, the parts are flattened and concatenated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from relaxit.errors import ConfigurationError, ShapeError
from relaxit.shapes import batch_shape_of

__all__ = ["join", "size_of", "split"]

Parts = Mapping[str, torch.Size]


def size_of(parts: Parts) -> torch.Size:
    """Return the shape of params that consist of these parts.

    Example:
        >>> size_of({"unary": torch.Size([4, 3]), "pair": torch.Size([3, 3])})
        torch.Size([21])
    """
    return torch.Size((sum(map(math.prod, parts.values())),))


def join(owner: str, parts: Parts, given: Mapping[str, Tensor]) -> Tensor:
    """Return params ``[*batch, size]`` made of the given parts, which broadcast over the batch.

    Args:
        owner: name used in error messages.
        parts: shape of each part, by name.
        given: tensor ``[*batch, *shape]`` for each part; a size of 1 broadcasts.

    Raises:
        ConfigurationError: if a name is missing or unknown.
        ShapeError: if a part does not broadcast to its shape, or batches do not fit.

    Example:
        >>> shapes = {"unary": torch.Size([4, 3]), "pair": torch.Size([3, 3])}
        >>> table = torch.zeros(3, 3)  # one for all rows
        >>> join("chain", shapes, {"unary": torch.zeros(32, 4, 3), "pair": table}).shape
        torch.Size([32, 21])
    """
    _require_parts(owner, parts)
    if set(given) != set(parts):
        expected, got = ", ".join(parts), ", ".join(given) or "none"
        raise ConfigurationError(f"{owner}: params have the parts {expected}; got {got}")
    batches = [_batch(owner, name, given[name], shape) for name, shape in parts.items()]
    try:
        batch = torch.broadcast_shapes(*batches)
    except RuntimeError as error:
        listed = ", ".join(f"{name} {list(given[name].shape)}" for name in parts)
        raise ShapeError(f"{owner}: the batches of the parts do not fit: {listed}") from error
    flat = [given[name].expand(batch + shape).flatten(len(batch)) for name, shape in parts.items()]
    return torch.cat(flat, -1)


def split(owner: str, parts: Parts, params: Tensor) -> dict[str, Tensor]:
    """Return views ``[*batch, *shape]`` of the parts of params ``[*batch, size]``.

    Args:
        owner: name used in error messages.
        parts: shape of each part, by name.
        params: params, scores or statistics.

    Raises:
        ConfigurationError: if there are no parts.
        ShapeError: if params have another size.

    Example:
        >>> shapes = {"unary": torch.Size([4, 3]), "pair": torch.Size([3, 3])}
        >>> parts = split("chain", shapes, torch.zeros(5, 21))
        >>> parts["unary"].shape, parts["pair"].shape
        (torch.Size([5, 4, 3]), torch.Size([5, 3, 3]))
    """
    _require_parts(owner, parts)
    batch_shape_of(owner, "params", params, size_of(parts))
    pieces = params.split([math.prod(shape) for shape in parts.values()], -1)
    named = zip(parts.items(), pieces, strict=True)
    return {
        name: piece.unflatten(-1, shape) if shape else piece.squeeze(-1)
        for (name, shape), piece in named
    }


def _require_parts(owner: str, parts: Parts) -> None:
    if not parts:
        raise ConfigurationError(f"{owner}: params have no parts")


def _batch(owner: str, name: str, given: object, shape: torch.Size) -> torch.Size:
    """Return the leading dimensions of a part, after a check that the last ones broadcast."""
    if not isinstance(given, Tensor):
        raise TypeError(f"{owner}: part {name!r} must be a tensor, got {type(given).__name__}")
    split_at = max(given.dim() - len(shape), 0)
    last = given.shape[split_at:]
    pairs = zip(last[::-1], shape[::-1], strict=False)
    if not all(size in (1, expected) for size, expected in pairs):
        expected = ", ".join(["*", *map(str, shape)])
        raise ShapeError(f"{owner}: part {name!r} must be [{expected}], got {list(given.shape)}")
    return given.shape[:split_at]
