"""What besides autograd observes operations on tensors: transforms, tracers, compilers.

PyTorch answers some of these questions under private names only. All private names that relaxit
uses are in this file, each with a fallback to public names for versions of PyTorch that lack it.
The fallback may be slower or more cautious, but not wrong.
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

from relaxit.aliases import Generator

__all__ = [
    "PRIVATE",
    "can_read_values",
    "constant_result",
    "fake_tensors",
    "followed",
    "known_false",
    "may_branch_on_values",
    "observed",
    "standard_gamma",
    "transforms_active",
    "version",
]

Function = TypeVar("Function", bound=Callable[..., Any])


def _private(module: str, name: str) -> Any:
    """Look up a private name of torch; None if this version does not have it."""
    try:
        value: Any = importlib.import_module(module)
    except ImportError:
        return None
    for part in name.split("."):
        value = getattr(value, part, None)
    return value


# Looked up once: dynamo recognises these functions by identity, whatever their name.
torch_transforms_active = _private("torch", "_C._are_functorch_transforms_active")
torch_mode_count = _private("torch", "_C._len_torch_dispatch_stack")
torch_is_batched = _private("torch", "_C._functorch.is_legacy_batchedtensor")
torch_gamma = _private("torch", "_standard_gamma")

PRIVATE = ("torch_transforms_active", "torch_mode_count", "torch_is_batched", "torch_gamma")
"""Attributes of this module that are None if torch lacks the private name."""


def transforms_active() -> bool:
    """Whether a transform of ``torch.func`` (vmap, grad, jvp, ...) is active.

    Without the private name one is assumed to be active: the fused implementations, which must not
    run under a transform, are then never used.

    Example:
        >>> transforms_active(), torch.func.vmap(lambda x: x + transforms_active())(torch.zeros(2))
        (False, tensor([1., 1.]))
    """
    return True if torch_transforms_active is None else bool(torch_transforms_active())


def observed() -> bool:
    """Whether a transform, a tracer or fake tensors observe the operations on tensors.

    They would not notice what NumPy writes, and may have no values to read.
    """
    modes = True if torch_mode_count is None else torch_mode_count() > 0
    tracing = torch.jit.is_tracing()  # type: ignore[attr-defined]
    return transforms_active() or modes or bool(tracing)


def followed(tensor: Tensor) -> bool:
    """Whether a tensor has a forward-mode tangent or is a batch of gradients (is_grads_batched).

    Example:
        >>> followed(torch.ones(2))
        False
    """
    return forward_ad.unpack_dual(tensor).tangent is not None or _is_batched(tensor)


def can_read_values(tensor: Tensor) -> bool:
    """Whether the numbers of a tensor can be read without waiting: on the CPU, in eager code.

    Reading them would break the graph of compiled code, and would wait for a GPU.

    Example:
        >>> can_read_values(torch.ones(2))
        True
    """
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def may_branch_on_values(tensor: Tensor) -> bool:
    """Whether code may branch on the numbers of a tensor and write into memory of its own.

    This holds on the CPU, outside compilers, tracers, transforms and forward-mode differentiation.

    Example:
        >>> may_branch_on_values(torch.ones(2))
        True
    """
    return can_read_values(tensor) and not observed() and not followed(tensor)


def known_false(flag: Tensor | bool) -> bool:
    """Whether a 0-dim bool is known to be False; under vmap no branch may depend on it.

    Example:
        >>> known_false(torch.tensor(False)), known_false(torch.tensor(True))
        (True, False)
    """
    try:
        return not bool(flag)
    except RuntimeError as error:
        if "vmap" in str(error):
            return False
        raise


def _is_batched(tensor: Tensor) -> bool:
    if torch_is_batched is not None:
        return bool(torch_is_batched(tensor))
    try:
        tensor.data_ptr()  # a batched tensor has no memory of its own
    except (RuntimeError, NotImplementedError):
        return True
    return False


def constant_result(function: Function) -> Function:
    """Mark a function to be called once per trace, as ``torch.compiler.assume_constant_result``.

    That function imports the compiler, which takes 1.4 s, only to set an attribute. Here the
    attribute is set without the import, if this version of the compiler looks for it.
    """
    mark = "_dynamo_marked_constant"
    if not compiler_looks_for(mark):
        marked: Function = torch.compiler.assume_constant_result(function)
        return marked
    setattr(function, mark, True)
    return function


def compiler_looks_for(mark: str) -> bool:
    """Whether the source of the compiler contains a word; it is read, not imported."""
    source = Path(torch.__file__).parent / "_dynamo" / "decorators.py"
    return source.is_file() and mark in source.read_text(encoding="utf-8")


def standard_gamma(alpha: Tensor, generator: Generator = None) -> Tensor:
    """Draw gamma variables of concentration ``alpha`` and scale 1, with a generator.

    torch's own distribution accepts no generator.

    Example:
        >>> standard_gamma(torch.ones(3), torch.Generator().manual_seed(0)).shape
        torch.Size([3])
    """
    if torch_gamma is not None:
        drawn: Tensor = torch_gamma(alpha, generator=generator)
        return drawn
    distribution = torch.distributions.Gamma(alpha, torch.ones_like(alpha), validate_args=False)
    if generator is None:
        return distribution.sample()
    # The global generator is used instead, seeded from the given one.
    seed = torch.randint(2**63 - 1, (), generator=generator, device=generator.device)
    devices = [alpha.device] if alpha.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(int(seed))
        return distribution.sample()


def version(tensor: Tensor) -> int:
    """Return how often a tensor was written into; 0 in compiled code or if torch does not say."""
    count: int = 0 if torch.compiler.is_compiling() else getattr(tensor, "_version", 0)
    return count


def fake_tensors() -> AbstractContextManager[Any]:
    """Return a context in which tensors have shapes and dtypes but no values.

    Raises:
        RuntimeError: if this version of torch has no ``FakeTensorMode`` in the expected module.
    """
    mode = _private("torch._subclasses.fake_tensor", "FakeTensorMode")
    if mode is None:
        raise RuntimeError(
            "this version of torch has no FakeTensorMode in torch._subclasses.fake_tensor"
        )
    context: AbstractContextManager[Any] = mode()
    return context
