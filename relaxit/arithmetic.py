"""Arithmetic whose precision does not depend on the settings of the process.

Autocast, ``torch.set_float32_matmul_precision`` and the TF32 and BF16 switches of the backends
allow float32 matrix multiplications to be computed with 8 to 11 bits. That is meant for networks.
The computations of relaxit suffer from cancellation (Newton's systems, Jacobians near a vertex),
and their results would be off by anything from a few per cent to everything.
"""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor

from relaxit.tracing import calls_operators, transforms_active

__all__ = ["full_precision_matmul", "has_reduced_precision", "without_autocast"]


def without_autocast(tensor: Tensor) -> contextlib.AbstractContextManager[Any]:
    """Return a context in which autocast leaves operations on this tensor's device alone.

    Example:
        >>> x = torch.eye(2)
        >>> with torch.autocast("cpu", torch.bfloat16), without_autocast(x):
        ...     (x @ x).dtype
        torch.float32
    """
    kind = tensor.device.type
    if kind == "meta" or not torch.is_autocast_enabled(kind):
        return contextlib.nullcontext()
    return torch.autocast(kind, enabled=False)


def has_reduced_precision(device: torch.device) -> bool:
    """Whether float32 matrix multiplications on this device may currently use fewer bits.

    Example:
        >>> has_reduced_precision(torch.device("cpu"))
        False
        >>> with torch.autocast("cpu", torch.bfloat16):
        ...     has_reduced_precision(torch.device("cpu"))
        True
    """
    kind = device.type
    if kind == "meta":
        return False
    if torch.is_autocast_enabled(kind):
        return True
    # The common getter is fast, but raises if the settings of the backends differ.
    try:
        if torch.get_float32_matmul_precision() == "highest":
            return False
    except RuntimeError:
        pass
    backend: Any = {"cuda": torch.backends.cuda, "cpu": torch.backends.mkldnn}.get(kind)
    return backend is not None and backend.matmul.fp32_precision not in ("ieee", "none")


def full_precision_matmul(a: Tensor, b: Tensor) -> Tensor:
    """Compute ``a @ b`` of ``[..., m, k]`` and ``[..., k, n]`` in the full precision of the dtype.

    Where the precision of float32 may be reduced, float64 is used, which no setting affects.

    Example:
        >>> full_precision_matmul(torch.ones(2, 3), torch.ones(3, 1))
        tensor([[3.],
                [3.]])
    """
    if not torch.compiler.is_compiling():
        return _product(a, b)
    if transforms_active() or not calls_operators():  # the operator has no rules for transforms
        return (a.double() @ b.double()).to(a.dtype)
    result: Tensor = torch.ops.relaxit.product(a, b)
    return result


def _product(a: Tensor, b: Tensor) -> Tensor:
    if a.dtype != torch.float32 or not has_reduced_precision(a.device):
        return a @ b
    return (a.double() @ b.double()).to(a.dtype)


# For compilers: the settings of the process count when the code runs, not when it is compiled.
torch.library.define("relaxit::product", "(Tensor a, Tensor b) -> Tensor")


@torch.library.impl("relaxit::product", "CompositeExplicitAutograd")
def _(a: Tensor, b: Tensor) -> Tensor:
    return _product(a, b)


@torch.library.register_fake("relaxit::product")
def _(a: Tensor, b: Tensor) -> Tensor:
    return torch.matmul(a, b)


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _back(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
    a, b = ctx.saved_tensors
    return (
        torch.ops.relaxit.product(grad, b.mT).sum_to_size(a.shape),
        torch.ops.relaxit.product(a.mT, grad).sum_to_size(b.shape),
    )


torch.library.register_autograd("relaxit::product", _back, setup_context=_keep)
