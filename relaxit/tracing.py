"""What besides autograd observes operations on tensors: transforms, tracers, compilers.

PyTorch answers some of these questions under private names only. All private names that relaxit
uses are in this file, each with a fallback to public names for versions of PyTorch that lack it.
The fallback may be slower or more cautious, but not wrong.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd import forward_ad

from relaxit.aliases import Generator
from relaxit.errors import Unsupported

__all__ = [
    "PRIVATE",
    "calls_operators",
    "can_read_values",
    "check_source",
    "checks_by_default",
    "compiler_has_run",
    "constant_result",
    "exporting",
    "exporting_to_onnx",
    "fake_tensors",
    "followed",
    "gradients_off",
    "in_backward",
    "known_false",
    "may_branch_on_values",
    "observed",
    "recorded",
    "standard_gamma",
    "tracers_off",
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
torch_mode_of = _private("torch", "_C._get_dispatch_mode")
torch_modes = _private("torch", "_C._TorchDispatchModeKey")
torch_backward_number = _private("torch", "_C._current_graph_task_id")

_COMPILER_TELLS = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 12)

PRIVATE = (
    "torch_transforms_active",
    "torch_mode_count",
    "torch_is_batched",
    "torch_gamma",
    "torch_mode_of",
    "torch_modes",
    "torch_backward_number",
)
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
    # Written out, because small tensors are drawn in little more time than a few calls take.
    if torch_mode_count is None or torch_mode_count():
        return True
    if torch_transforms_active is None or torch_transforms_active():
        return True
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined]


def followed(tensor: Tensor) -> bool:
    """Whether a tensor has a forward-mode tangent or is a batch of gradients (is_grads_batched).

    Example:
        >>> followed(torch.ones(2))
        False
    """
    return forward_ad.unpack_dual(tensor).tangent is not None or _is_batched(tensor)


def can_read_values(tensor: Tensor) -> bool:
    """Whether the numbers of a tensor can be read without waiting: on the CPU, in eager code.

    Reading them would break the graph of compiled code, would wait for a GPU, and would be wrong
    while a trace is recorded, which is replayed with other numbers.

    Example:
        >>> can_read_values(torch.ones(2))
        True
        >>> torch.jit.trace(lambda x: x + int(can_read_values(x)), torch.zeros(2))(torch.zeros(2))
        tensor([0., 0.])
    """
    if tensor.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    tracing = torch.jit.is_tracing()  # type: ignore[attr-defined]
    return not tracing and not _modes("PROXY", "FAKE")


def recorded() -> bool:
    """Whether ``torch.export``, ``torch.jit.trace`` or ``make_fx`` records each operation.

    What they record has the values of an autograd function, but not its derivatives: those are of
    the operations inside. So a function with a derivative of its own takes another path then.

    Example:
        >>> recorded()
        False
        >>> torch.jit.trace(lambda x: x + int(recorded()), torch.zeros(2))(torch.zeros(2))
        tensor([1., 1.])
    """
    if torch.compiler.is_compiling():
        return exporting()
    tracing = torch.jit.is_tracing()  # type: ignore[attr-defined]
    return bool(tracing) or _modes("PROXY")


def _modes(*kinds: str) -> bool:
    """Whether a mode of one of these kinds is active; others count or print operations."""
    if torch_mode_count is None or not torch_mode_count():
        return False
    if torch_mode_of is None or torch_modes is None:
        return True
    return any(torch_mode_of(getattr(torch_modes, kind)) is not None for kind in kinds)


def checks_by_default() -> bool:
    """Whether distributions check values unless they are told otherwise, as PyTorch's own do.

    ``torch.distributions.Distribution.set_default_validate_args`` sets it. The first
    ``torch.compile`` of a process turns it off as well, for PyTorch's own reasons. From then on it
    does not tell what the user wants, and values are checked.

    Example:
        >>> checks_by_default()
        True
    """
    default: bool = getattr(torch.distributions.Distribution, "_validate_args", True)
    return default or compiler_has_run()


def compiler_has_run() -> bool:
    """Whether ``torch.compile`` has been used in this process."""
    module = sys.modules.get("torch._dynamo.eval_frame")
    if module is None:
        return False
    patch = getattr(getattr(module, "TorchPatcher", None), "patch", None)
    info = getattr(patch, "cache_info", None)
    return info is None or info().currsize > 0


def may_branch_on_values(tensor: Tensor) -> bool:
    """Whether code may branch on the numbers of a tensor and write into memory of its own.

    This holds on the CPU, outside compilers, tracers, transforms and forward-mode differentiation.

    Example:
        >>> may_branch_on_values(torch.ones(2))
        True
    """
    if tensor.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    return not observed() and not followed(tensor)


def calls_operators() -> bool:
    """Whether code should call relaxit's operators: it is compiled, and not to be exported.

    An exported program has to run where relaxit is not installed, so it is made of the reference
    implementations, which consist of PyTorch's own operators.

    Example:
        >>> calls_operators()
        False
    """
    return torch.compiler.is_compiling() and not exporting()


def exporting() -> bool:
    """Whether ``torch.export`` is exporting a program.

    Before torch 2.12 the compiler claims so of every function that it traces. There the answer is
    False, also for ``torch.export.export(strict=True)``.

    Example:
        >>> exporting()
        False
    """
    if torch.compiler.is_dynamo_compiling() and not _COMPILER_TELLS:
        return False
    return torch.compiler.is_exporting()


def exporting_to_onnx() -> bool:
    """Whether ``torch.onnx.export`` is exporting a program.

    ONNX lacks some of PyTorch's operators. A code path of its own avoids them.

    Example:
        >>> exporting_to_onnx()
        False
    """
    return exporting() and torch.onnx.is_in_onnx_export()


def gradients_off() -> AbstractContextManager[Any]:
    """Return ``torch.no_grad()``, or a context that does nothing where gradients are off already.

    ``torch.export.load`` rejects programs with one ``no_grad`` inside of another (torch 2.15).

    Example:
        >>> with gradients_off(), gradients_off():
        ...     torch.is_grad_enabled()
        False
    """
    return torch.no_grad() if torch.is_grad_enabled() else nullcontext()


@contextmanager
def tracers_off() -> Iterator[None]:
    """Context in which operations are executed, not recorded, while a program is exported.

    Raises:
        Unsupported: if this version of PyTorch lacks the private names for it.

    Example:
        >>> with tracers_off():
        ...     torch.ones(2).sum()
        tensor(2.)
    """
    proxies_off = _private("torch.fx.experimental.proxy_tensor", "disable_proxy_modes_tracing")
    fakes_off = _private("torch._subclasses.fake_tensor", "unset_fake_temporarily")
    guards = _private("torch._guards", "tracing")
    functions_off = _private("torch", "_C.DisableTorchFunction")
    if proxies_off is None or fakes_off is None or guards is None or functions_off is None:
        raise Unsupported("this version of PyTorch cannot export a derivative")
    with proxies_off(), fakes_off(), guards(None), functions_off():
        yield


def in_backward() -> bool:
    """Whether autograd is running a backward pass in this thread; not for compiled code.

    Example:
        >>> x, seen = torch.ones(1, requires_grad=True), []
        >>> handle = x.register_hook(lambda grad: seen.append(in_backward()))
        >>> x.sum().backward()
        >>> in_backward(), seen
        (False, [True])
    """
    if torch_backward_number is not None:
        return bool(torch_backward_number() != -1)
    return _recomputed()


def _recomputed() -> bool:
    """Whether ``torch.utils.checkpoint`` is computing a forward pass again: it is slow to tell."""
    frame = sys._getframe()
    while frame := frame.f_back:  # type: ignore[assignment]
        code, place = frame.f_code, ("torch", "utils", "checkpoint.py")
        again = code.co_name in ("backward", "unpack_hook")
        if again and Path(code.co_filename).parts[-3:] == place:
            return True
    return False


def check_source(generator: object) -> None:
    """Reject an explicit source of randomness where its numbers would be wrong.

    Args:
        generator: a generator, or what stands for one; None, the global generator, is always right.

    Raises:
        Unsupported: while a program is exported, which cannot hold a generator, and in a backward
            pass, where ``torch.utils.checkpoint`` computes a forward pass again. It restores the
            global generators only, so that another one would continue with other numbers, and the
            gradient would be that of another sample.

    Example:
        >>> check_source(None), check_source(torch.Generator())
        (None, None)
    """
    if generator is None:
        return
    if torch.compiler.is_compiling():
        if exporting():
            raise Unsupported(
                "generator= cannot be exported: an exported program draws from the global "
                "generator of the process that runs it; pass generator=None while exporting"
            )
    elif in_backward():
        raise Unsupported(
            "a draw with generator= in a backward pass: torch.utils.checkpoint computes the "
            "forward pass again, but restores the global generator only; pass generator=None "
            "inside of checkpointed code, and seed with torch.manual_seed"
        )


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

    Raises:
        Unsupported: as :func:`check_source`.

    Example:
        >>> standard_gamma(torch.ones(3), torch.Generator().manual_seed(0)).shape
        torch.Size([3])
    """
    check_source(generator)
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
