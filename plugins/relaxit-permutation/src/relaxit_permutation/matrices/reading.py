"""What can be read from the values of a tensor, on which the handling of pads depends."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from relaxit.tracing import can_read_values

__all__ = ["known", "smallest_known"]


def known(tensor: Tensor, flags: Callable[[], Tensor]) -> bool | None:
    """Whether all flags are set; None where values cannot be read, or only by waiting for a GPU.

    Args:
        tensor: what the flags are computed from.
        flags: function that returns a bool tensor.

    Example:
        >>> import torch
        >>> known(torch.ones(2), lambda: torch.tensor([True, False]))
        False
    """
    if not can_read_values(tensor):
        return None
    try:
        return bool(flags().all())
    except RuntimeError:  # tensors without values: under vmap, in tracers, fake ones
        return None


def smallest_known(tensor: Tensor) -> float | None:
    """Return the smallest number, or NaN if there is one; None where values cannot be read.

    It is the fastest way to know that no number is ``-inf``.

    Example:
        >>> import torch
        >>> smallest_known(torch.tensor([2.0, -torch.inf]))
        -inf
    """
    if not can_read_values(tensor):
        return None
    try:
        return float(tensor.detach().min())
    except RuntimeError:  # as above, or there are no numbers
        return None
