"""Use the value of one tensor forward and the gradient of another one backward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["replace_gradient"]


class _Through(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(hard: Tensor, soft: Tensor) -> Tensor:
        del soft
        return hard.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        return None, grad


def replace_gradient(hard: Tensor, soft: Tensor) -> Tensor:
    """Return exactly the value of ``hard``, with the gradient of ``soft`` (same shape).

    ``hard + soft - soft.detach()`` misses the vertex by a rounding error. An autograd
    function does not, in any dtype, and works under ``torch.func.vmap`` and ``torch.compile``.

    Example:
        >>> soft = torch.tensor([0.3, 0.7], requires_grad=True)
        >>> replace_gradient(torch.tensor([0.0, 1.0]), soft)
        tensor([0., 1.], grad_fn=<_ThroughBackward>)
    """
    value: Tensor = _Through.apply(hard.detach(), soft)
    return value
