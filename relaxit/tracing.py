"""Who follows operations on tensors besides autograd: transforms, tracers, dual numbers, compilers.

PyTorch answers some of these questions under private names only. All that relaxit uses stand in
this file, each with an answer from public names for a PyTorch that has lost it: a slower or a more
careful one, never a wrong one.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd import forward_ad

__all__ = [
    "PRIVATE",
    "constant_result",
    "fake_tensors",
    "followed",
    "observed",
    "standard_gamma",
    "transforms_active",
    "version",
]

Function = TypeVar("Function", bound=Callable[..., Any])


def _private(module: str, name: str) -> Any:
    """A private name of torch; None where this version does not have it."""
    try:
        found: Any = importlib.import_module(module)
    except ImportError:
        return None
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


# Looked up once: dynamo knows these functions by their identity, under whatever name.
_transforms_active = _private("torch", "_C._are_functorch_transforms_active")
_modes = _private("torch", "_C._len_torch_dispatch_stack")
_batched = _private("torch", "_C._functorch.is_legacy_batchedtensor")
_gamma = _private("torch", "_standard_gamma")

PRIVATE = ("_transforms_active", "_modes", "_batched", "_gamma")
"""Attributes of this module that are None where torch has lost the name behind them."""


def transforms_active() -> bool:
    """Whether a transform of ``torch.func`` (vmap, grad, jvp, ...) is at work.

    Without the private name it is assumed that one is: the fused implementations, which must not
    run under one, are then never taken.

    Example:
        >>> transforms_active(), torch.func.vmap(lambda x: x + transforms_active())(torch.zeros(2))
        (False, tensor([1., 1.]))
    """
    return True if _transforms_active is None else bool(_transforms_active())


def observed() -> bool:
    """Whether someone follows the operations on tensors: a transform, a tracer, fake tensors.

    They would not see what NumPy writes, nor have values to look at.
    """
    modes = True if _modes is None else _modes() > 0
    tracing = torch.jit.is_tracing()  # type: ignore[attr-defined]
    return transforms_active() or modes or bool(tracing)


def followed(tensor: Tensor) -> bool:
    """Whether a tensor has a forward-mode tangent, or is a batch of gradients (is_grads_batched).

    Example:
        >>> followed(torch.ones(2))
        False
    """
    return forward_ad.unpack_dual(tensor).tangent is not None or _is_batched(tensor)


def _is_batched(tensor: Tensor) -> bool:
    if _batched is not None:
        return bool(_batched(tensor))
    try:
        tensor.data_ptr()  # a batched tensor has no memory of its own
    except (RuntimeError, NotImplementedError):
        return True
    return False


def constant_result(function: Function) -> Function:
    """As ``torch.compiler.assume_constant_result``: called once, while compiled code is traced.

    That function imports the compiler, which takes 1.4 s, to set an attribute. Here the attribute
    is set without, where this version of the compiler looks for it.
    """
    mark = "_dynamo_marked_constant"
    if not _looked_for(mark):
        marked: Function = torch.compiler.assume_constant_result(function)
        return marked
    setattr(function, mark, True)
    return function


def _looked_for(mark: str) -> bool:
    """Whether the compiler's source has a word; read, not imported."""
    source = Path(torch.__file__).parent / "_dynamo" / "decorators.py"
    return source.is_file() and mark in source.read_text(encoding="utf-8")


def standard_gamma(alpha: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Gamma variables of shape ``alpha`` and scale 1, which torch's own distribution draws without
    a generator.

    Example:
        >>> standard_gamma(torch.ones(3), torch.Generator().manual_seed(0)).shape
        torch.Size([3])
    """
    if _gamma is not None:
        drawn: Tensor = _gamma(alpha, generator=generator)
        return drawn
    distribution = torch.distributions.Gamma(alpha, torch.ones_like(alpha), validate_args=False)
    if generator is None:
        return distribution.sample()
    # The global generator stands in, seeded by the one that is given.
    seed = torch.randint(2**63 - 1, (), generator=generator, device=generator.device)
    devices = [alpha.device] if alpha.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(int(seed))
        return distribution.sample()


def version(tensor: Tensor) -> int:
    """How often a tensor was written into; 0 in compiled code, and where torch does not say."""
    count: int = 0 if torch.compiler.is_compiling() else getattr(tensor, "_version", 0)
    return count


def fake_tensors() -> AbstractContextManager[Any]:
    """Context in which tensors have shapes and dtypes, and no values.

    Raises:
        RuntimeError: if this version of torch has them under another name.
    """
    mode = _private("torch._subclasses.fake_tensor", "FakeTensorMode")
    if mode is None:
        raise RuntimeError("this version of torch has no FakeTensorMode where it was looked for")
    context: AbstractContextManager[Any] = mode()
    return context
