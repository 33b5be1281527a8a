"""Products of float32 matrices with as few bits as torch may spend on them, on any CPU.

``torch.set_float32_matmul_precision`` lets backends work out products with 8 or 11 bits. Whether a
CPU does depends on its make, and a check that depends on it finds nothing on the author's machine.
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
"""Products that are added to their first argument, which keeps its bits; in place, too."""


class ShortProducts(TorchFunctionMode):
    """Context in which products that torch may shorten are shortened, backward passes too.

    Args:
        bits: of the factors that are left.

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
        name, given = getattr(func, "__name__", ""), dict(kwargs or {})
        adds = name.removesuffix("_") in _SUMS
        if not (adds or name in _FACTORS) or (name == "einsum" and not _several(args[1:])):
            return func(*args, **given)
        first, last = (1 if adds else 0), (2 if name == "linear" else len(args))
        kept = ("input", "self") if adds else ("bias",)
        product = func(
            *args[:first],
            *(self._short(each) for each in args[first:last]),
            *args[last:],
            **{k: v if k in (*kept, "out") else self._short(v) for k, v in given.items()},
        )
        # Not where its gradient is also that of what was added.
        whole = adds or name == "linear" or "out" in given
        return product if whole else _ShortSlope.apply(product, self.bits)

    def _short(self, given: Any) -> Any:
        if isinstance(given, list | tuple):  # operands of einsum
            return type(given)(self._short(each) for each in given)
        if not isinstance(given, Tensor) or given.dtype != torch.float32:
            return given
        return given + (_rounded(given, self.bits) - given).detach().nan_to_num(0.0)


def _several(operands: Sequence[Any]) -> bool:
    """Whether einsum multiplies, and does not only sum or transpose."""
    listed = len(operands) == 1 and isinstance(operands[0], list | tuple)
    return len(operands[0] if listed else operands) > 1


def _rounded(x: Tensor, bits: int) -> Tensor:
    """To so many bits, if x is of float32 and torch may shorten products now."""
    if x.dtype != torch.float32 or not has_reduced_precision(x.device):
        return x
    high = x * (2.0 ** (24 - bits) + 1)
    return torch.where(high.isfinite(), high - (high - x), x)


class _ShortSlope(torch.autograd.Function):
    """A product, whose gradient is a factor of the products that the backward pass consists of."""

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
