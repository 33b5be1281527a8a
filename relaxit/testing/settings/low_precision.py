"""Reduced-precision matrix multiplication of float32, emulated on any CPU.

``torch.set_float32_matmul_precision`` allows backends to compute with 8 or 11 bits. Whether a CPU
does so depends on its model, so without emulation a check may find nothing on the author's machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from relaxit.arithmetic import has_reduced_precision

__all__ = ["ShortProducts"]

_FACTORS = (
    *("bmm", "dot", "einsum", "inner", "linalg_matmul", "linalg_multi_dot", "linear", "matmul"),
    *("__matmul__", "mm", "mv", "__rmatmul__", "tensordot", "vdot"),
)
_SUMS = ("addbmm", "addmm", "addmv", "baddbmm")
"""Matmuls that are added to the first argument, which keeps its precision; also in place."""


class ShortProducts(TorchFunctionMode):
    """Context that emulates the lowest allowed precision of matmuls, in backward passes too.

    Args:
        bits: number of significant bits kept of the factors.

    Example:
        >>> x = torch.full((1, 1), 1.001)
        >>> torch.set_float32_matmul_precision("medium")
        >>> with ShortProducts(8):
        ...     x @ x
        tensor([[1.]])
        >>> torch.set_float32_matmul_precision("highest")
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name, keywords = getattr(func, "__name__", ""), dict(kwargs or {})
        adds = name.removesuffix("_") in _SUMS
        if not (adds or name in _FACTORS) or (name == "einsum" and not _several(args[1:])):
            return func(*args, **keywords)
        first, last = (1 if adds else 0), (2 if name == "linear" else len(args))
        unrounded = ("input", "self") if adds else ("bias",)
        product = func(
            *args[:first],
            *(self._short(factor) for factor in args[first:last]),
            *args[last:],
            **{k: v if k in (*unrounded, "out") else self._short(v) for k, v in keywords.items()},
        )
        # An added term has the same gradient, which must then keep its precision.
        keeps_gradient = adds or name == "linear" or "out" in keywords
        return product if keeps_gradient else _ShortSlope.apply(product, self.bits)

    def _short(self, given: Any) -> Any:
        if isinstance(given, list | tuple):  # operands of einsum
            return type(given)(self._short(operand) for operand in given)
        if not isinstance(given, Tensor) or given.dtype != torch.float32:
            return given
        return given + (_rounded(given, self.bits) - given).detach().nan_to_num(0.0)


def _several(operands: Sequence[Any]) -> bool:
    """Whether einsum multiplies several operands, rather than only sums or transposes one."""
    listed = len(operands) == 1 and isinstance(operands[0], list | tuple)
    return len(operands[0] if listed else operands) > 1


def _rounded(x: Tensor, bits: int) -> Tensor:
    """Round to this many bits if x is float32 and torch may reduce the precision now."""
    if x.dtype != torch.float32 or not has_reduced_precision(x.device):
        return x
    high = x * (2.0 ** (24 - bits) + 1)
    return torch.where(high.isfinite(), high - (high - x), x)


class _ShortSlope(torch.autograd.Function):
    """Identity that rounds the gradient of a product: the backward pass multiplies by it."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, bits: int) -> Tensor:
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, int], output: Tensor) -> None:
        ctx.bits = inputs[1]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _rounded(grad, ctx.bits), None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: None) -> Tensor:
        return tangent.clone()
