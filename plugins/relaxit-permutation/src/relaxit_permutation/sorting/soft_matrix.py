"""The soft permutation matrix of a list of values, by one of three relaxations."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from relaxit.dtypes import compute_dtype
from relaxit.errors import ConfigurationError, DomainError
from relaxit.temperature import align_temperature, check_temperature_value
from relaxit_permutation.matrices.reading import known
from relaxit_permutation.sinkhorn.operator import sinkhorn
from relaxit_permutation.sinkhorn.quotient import roomy
from relaxit_permutation.sorting.items import Items, pad_places, put_last
from relaxit_permutation.sorting.neuralsort import neuralsort
from relaxit_permutation.sorting.softsort import softsort

__all__ = ["SortRelaxation", "soft_matrix"]

SortRelaxation = Literal["softsort", "neuralsort", "sinkhorn"]


def soft_matrix(
    owner: str,
    items: Items,
    temperature: float | Tensor,
    relaxation: str,
    descending: bool,
    rows: int | None = None,
) -> Tensor:
    """Return the soft permutation matrix ``[..., rows, n]`` of items, in float32 or wider.

    Args:
        owner: name used in error messages.
        items: values ``[..., n]`` and pads; these take the last rows, in the order of their index.
        temperature: positive float, or tensor that broadcasts to ``[...]``.
        relaxation: ``softsort``, ``neuralsort`` or ``sinkhorn``.
        descending: whether the largest value comes first.
        rows: number of rows to return, from the first on; all n if None.

    Raises:
        TypeError, ConfigurationError, ShapeError, DomainError: if the temperature or the relaxation
            is not legal.
    """
    values, pads = items
    aligned = _aligned(owner, values, temperature)
    x = (values if descending else -values).to(compute_dtype(values.dtype))
    x, aligned = roomy(x, aligned)
    if relaxation == "sinkhorn":
        return _transport(x, pads, aligned)[..., :rows, :]
    if relaxation not in get_args(SortRelaxation):
        listed = ", ".join(get_args(SortRelaxation))
        raise ConfigurationError(f"{owner}: unknown relaxation {relaxation!r}. Known: {listed}")
    if pads is not None:
        x = put_last(x, pads, aligned)
    return (softsort if relaxation == "softsort" else neuralsort)(x, aligned, rows)


def _transport(x: Tensor, pads: Tensor | None, temperature: float | Tensor) -> Tensor:
    """Compute entropic transport of the values to equally spaced anchors, the largest to the first.

    The cost is the squared difference from anchors 1 apart. Only twice the product of anchor and
    value matters, because the squares are the same for all matrices. The factors n + 1 - 2i are
    those of NeuralSort. A pad may go to one place only, which no item may take.
    """
    n = x.shape[-1]
    place = torch.arange(n, device=x.device)
    if pads is None:
        anchors, mean = n - 1 - 2 * place.to(x.dtype), x.detach().mean(-1, keepdim=True)
    else:
        count = (~pads).sum(-1, keepdim=True)
        anchors = (count - 1 - 2 * place).to(x.dtype)
        mean = x.detach().sum(-1, keepdim=True) / count.clamp_min(1)
    # A constant added to all values is a constant per row, which the scaling removes; centring
    # only reduces rounding errors.
    scores = anchors.unsqueeze(-1) * (x - mean).unsqueeze(-2)
    if pads is not None:
        own = pad_places(pads).unsqueeze(-2) == place.unsqueeze(-1)
        item = (place < count).unsqueeze(-1) & ~pads.unsqueeze(-2)
        scores = scores.masked_fill(own, 0.0).masked_fill(~(own | item), -torch.inf)
    tau = temperature.unsqueeze(-1) if isinstance(temperature, Tensor) else temperature
    return sinkhorn(scores, tau)


def _aligned(owner: str, values: Tensor, temperature: float | Tensor) -> float | Tensor:
    """Check the temperature and align it with values."""
    if not isinstance(temperature, Tensor):
        check_temperature_value(temperature, owner)
    elif known(temperature, lambda: temperature.isfinite() & (temperature > 0)) is False:
        raise DomainError(f"{owner}: temperature must be finite and > 0 everywhere")
    return align_temperature(owner, temperature, values.shape[:-1], 1)
