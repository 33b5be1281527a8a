r"""Fused implementation of the Concrete draw on CUDA, as operators for autograd and compilers.

``relaxit::concrete`` draws soft and hard samples in one pass over the logits, and
``relaxit::concrete_backward`` computes the gradient in another. The noise is computed inside
(:mod:`relaxit.categorical.fast.triton_kernels`). Both are pure functions: the same seed gives the
same sample. The seed is a tensor that stays on the device, so that nothing waits for it and a
captured CUDA graph draws new samples when it changes.

The same formulas are written here in PyTorch, as documentation and for comparison. They also run
if Triton cannot compile, with one warning; from then on nothing is :func:`usable`.
"""

from __future__ import annotations

import math
import warnings
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from relaxit import tracing
from relaxit.aliases import Generator
from relaxit.dtypes import smallest_stored
from relaxit.noise import Source
from relaxit.temperature import may_need_gradient, representable

__all__ = ["MOST", "concrete", "triton_works", "usable", "uses_triton"]

MOST = 32768
"""Largest number of categories that one program can hold."""
_DTYPES = (torch.float32, torch.float16, torch.bfloat16)

triton_works = find_spec("triton") is not None
"""Whether Triton is installed and has not failed yet."""


def usable(params: Tensor, temperature: float | Tensor, generator: Source = None) -> bool:
    """Whether to use :func:`concrete`: on CUDA, with Triton, for supported inputs.

    A learned temperature, the transforms of ``torch.func``, forward-mode differentiation and
    exported programs are not supported.

    Args:
        params: logits ``[*batch, K]``.
        temperature: float, or tensor of shape ``[]`` or ``[*batch, 1]``.
        generator: source of the noise.

    Example:
        >>> usable(torch.zeros(3), 1.0)
        False
    """
    if not (uses_triton(params) and params.dtype in _DTYPES):
        return False
    if not 2 <= params.shape[-1] <= MOST or not isinstance(generator, torch.Generator | None):
        return False
    if isinstance(temperature, Tensor) and temperature.device != params.device:
        return False
    if may_need_gradient(temperature) or tracing.transforms_active():
        return False
    if torch.compiler.is_compiling():
        return tracing.calls_operators()
    return not tracing.followed(params)


def concrete(
    params: Tensor,
    temperature: float | Tensor,
    shape: torch.Size = torch.Size(),
    generator: Generator = None,
    *,
    soft: bool = True,
    hard: bool = False,
) -> tuple[Tensor | None, Tensor | None]:
    """Draw soft and hard samples ``[*shape, *batch, K]`` from the same noise; None if not wanted.

    The soft one is differentiable in params, also twice. When stored it is clamped below at the
    smallest normal number of the dtype (in float16, the smallest subnormal one), where not masked.
    For the same state of the generator the sample differs from that of the reference
    implementation, but has the same distribution.

    Args:
        params: logits ``[*batch, K]`` in float32, float16 or bfloat16, also the dtype of samples.
        temperature: float, or tensor that is 0-dim or broadcasts to ``[*batch, 1]``, no gradient.
        shape: shape of the independent draws.
        generator: generator on the device of params; the global one if None.
        soft, hard: whether to return the soft and the hard samples.

    Example:
        >>> logits = torch.tensor([0.0, 1.0, -torch.inf])
        >>> soft, hard = concrete(logits, 0.5, torch.Size([5]), hard=True)
        >>> bool((soft[:, 2] == 0).all()), torch.equal(soft.argmax(-1), hard.argmax(-1))
        (True, True)
    """
    batch, k = params.shape[:-1], params.shape[-1]
    full = shape + params.shape
    number = None if isinstance(temperature, Tensor) else representable(temperature, torch.float32)
    flat_temperature = None
    if isinstance(temperature, Tensor):
        scalar = temperature.dim() == 0
        flat_temperature = temperature if scalar else temperature.expand(*batch, 1).reshape(-1)
    tracing.check_source(generator)
    source: dict[str, Any] = {} if generator is None else {"generator": generator}
    seed = torch.randint(2**63 - 1, (), dtype=torch.int64, device=params.device, **source)
    rows = (params if soft else params.detach()).reshape(-1, k)
    y, z = torch.ops.relaxit.concrete(
        rows, flat_temperature, number, seed, math.prod(shape), soft, hard
    )
    return y.view(full) if soft else None, z.view(full) if hard else None


# Defined by hand: the first call of a ``torch.library.custom_op`` imports the whole of
# torch.compile, which takes a second.
torch.library.define(
    "relaxit::concrete",
    "(Tensor params, Tensor? temperature, float? number, Tensor seed, SymInt copies, bool soft, "
    "bool hard) -> (Tensor, Tensor)",
)
torch.library.define(
    "relaxit::concrete_backward",
    "(Tensor grad, Tensor soft, Tensor? temperature, float? number, SymInt rows) -> Tensor",
)


@torch.library.impl("relaxit::concrete", "CompositeExplicitAutograd")
def _concrete(
    params: Tensor,
    temperature: Tensor | None,
    number: float | None,
    seed: Tensor,
    copies: int,
    soft: bool,
    hard: bool,
) -> tuple[Tensor, Tensor]:
    """Draw soft and hard samples ``[copies * rows, K]`` of logits ``[rows, K]``.

    The temperature is ``number``, or the tensor ``temperature`` of one element or of ``rows``.
    """
    params, tau = params.contiguous(), _temperature(temperature, number)
    y, z = _allocate(params, copies, soft, hard)
    if not (y.numel() or z.numel()):
        return y, z
    if uses_triton(params):
        try:
            from relaxit.categorical.fast import triton_kernels

            triton_kernels.draw(params, tau, seed, y, z, smallest_stored(params.dtype))
        except Exception as error:  # a compiler may raise anything on a user's machine
            _give_up(error)
        else:
            return y, z
    scores = params.float().repeat(copies, 1) + gumbel(seed, copies * len(params), params.shape[1])
    if soft:
        value = (scores / _aligned(tau, copies)).softmax(-1)
        low = (scores > -torch.inf) & (value < smallest_stored(y.dtype))
        y.copy_(value.masked_fill_(low, smallest_stored(y.dtype)))
    if hard:
        z.zero_().scatter_(-1, scores.argmax(-1, keepdim=True), 1.0)
    return y, z


@torch.library.impl("relaxit::concrete_backward", "CompositeExplicitAutograd")
def _concrete_backward(
    grad: Tensor, soft: Tensor, temperature: Tensor | None, number: float | None, rows: int
) -> Tensor:
    """Compute the gradient in the logits, ``y (g - <g, y> / <1, y>) / temperature``."""
    grad, out, tau = grad.contiguous(), torch.empty_like(soft), _temperature(temperature, number)
    if not out.numel():
        return out
    if uses_triton(soft):
        try:
            from relaxit.categorical.fast import triton_kernels

            triton_kernels.pull(grad, soft, tau, rows, out)
        except Exception as error:
            _give_up(error)
        else:
            return out
    g, y = grad.float(), soft.float()
    mean = (g * y).sum(-1, keepdim=True) / y.sum(-1, keepdim=True)
    return out.copy_(y * (g - mean) / _aligned(tau, len(soft) // rows))


def uses_triton(tensor: Tensor) -> bool:
    """Whether the Triton kernels handle a tensor: it is on a GPU, and Triton works."""
    return triton_works and tensor.is_cuda


def _allocate(params: Tensor, copies: int, soft: bool, hard: bool) -> tuple[Tensor, Tensor]:
    full, none = (copies * params.shape[0], params.shape[1]), (0, params.shape[1])
    return params.new_empty(full if soft else none), params.new_empty(full if hard else none)


def _temperature(temperature: Tensor | None, number: float | None) -> Tensor | float:
    if temperature is not None:
        return temperature.contiguous()
    assert number is not None
    return number


def _aligned(tau: Tensor | float, copies: int) -> Tensor | float:
    """Reshape the temperature so that it divides ``[copies * rows, K]``."""
    if not isinstance(tau, Tensor) or tau.numel() == 1:
        return tau
    return tau.float().repeat(copies).unsqueeze(-1)


def _give_up(error: Exception) -> None:
    global triton_works
    triton_works = False
    reason = (str(error).strip().splitlines() or [""])[-1]
    warnings.warn(
        "samples are drawn in plain PyTorch from now on, which is slower: Triton failed with "
        f"{type(error).__name__}: {reason}",
        RuntimeWarning,
        stacklevel=2,
    )


# --- registration for autograd and compilers ---------------------------------------------------


@torch.library.register_fake("relaxit::concrete")
def _(
    params: Tensor,
    temperature: Tensor | None,
    number: float | None,
    seed: Tensor,
    copies: int,
    soft: bool,
    hard: bool,
) -> tuple[Tensor, Tensor]:
    return _allocate(params, copies, soft, hard)


@torch.library.register_fake("relaxit::concrete_backward")
def _(
    grad: Tensor, soft: Tensor, temperature: Tensor | None, number: float | None, rows: int
) -> Tensor:
    return torch.empty_like(soft)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    params, temperature, number, _, copies, _, _ = inputs
    ctx.save_for_backward(output[0], temperature)
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)
    ctx.number, ctx.rows, ctx.copies = number, params.shape[0], copies


def _back(ctx: Any, grad: Tensor | None, _: Tensor | None) -> tuple[Tensor | None, ...]:
    if grad is None:
        return (None,) * 7
    soft, temperature = ctx.saved_tensors
    pulled = torch.ops.relaxit.concrete_backward(grad, soft, temperature, ctx.number, ctx.rows)
    if ctx.copies != 1:
        pulled = pulled.view(ctx.copies, ctx.rows, soft.shape[1]).sum(0)
    return (pulled, *(None,) * 6)


def _keep_again(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    grad, soft, temperature, number, rows = inputs
    ctx.save_for_backward(grad, soft, temperature)
    ctx.number, ctx.rows = number, rows


def _back_again(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
    """Use elementary operations, which have derivatives of any order."""
    grad, soft, temperature = ctx.saved_tensors
    tau = _aligned(_temperature(temperature, ctx.number), len(soft) // max(ctx.rows, 1))
    g, y, t = grad.float(), soft.float(), upstream.float()
    row_sum = y.sum(-1, keepdim=True)
    across = t - (t * y).sum(-1, keepdim=True) / row_sum
    of_grad = y * across / tau
    of_soft = across * (g - (g * y).sum(-1, keepdim=True) / row_sum) / tau
    return of_grad.to(grad.dtype), of_soft.to(soft.dtype), None, None, None


torch.library.register_autograd("relaxit::concrete", _back, setup_context=_keep)
torch.library.register_autograd(
    "relaxit::concrete_backward", _back_again, setup_context=_keep_again
)


# --- reference implementation of the noise -----------------------------------------------------


def gumbel(seed: Tensor, rows: int, k: int) -> Tensor:
    """Compute the noise of the kernels, ``[rows, k]`` in float32: same words, same formula.

    Example:
        >>> gumbel(torch.tensor(5), 2, 3).shape
        torch.Size([2, 3])
    """
    word = words(seed, rows, k)
    upper = word >= 2**31
    end = torch.where(upper, word ^ 0xFFFFFFFF, word).float() * 2.0**-32 + 2.0**-33
    exponential = torch.where(upper, -end.log(), -torch.log1p(-end))
    return exponential.log_().neg_()


def words(seed: Tensor, rows: int, k: int) -> Tensor:
    """Compute 32-bit random numbers, int64 ``[rows, k]``: Philox 4x32-10 of the seed.

    Reference: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.
    """
    low, device = 0xFFFFFFFF, seed.device
    row = torch.arange(rows, device=device).unsqueeze(-1)
    group = torch.arange((k + 3) // 4, device=device)
    zero = torch.zeros((rows, len(group)), dtype=torch.int64, device=device)
    c0, c1, c2, c3 = (row & low) + zero, (row >> 32) + zero, group + zero, zero
    key0, key1 = seed & low, (seed >> 32) & low
    for _ in range(10):
        p, q = 0xCD9E8D57 * c2, 0xD2511F53 * c0  # modulo 2^64, which is sufficient
        c0, c1, c2, c3 = (
            ((p >> 32) & low) ^ c1 ^ key0,
            p & low,
            ((q >> 32) & low) ^ c3 ^ key1,
            q & low,
        )
        key0, key1 = (key0 + 0x9E3779B9) & low, (key1 + 0xBB67AE85) & low
    return torch.stack([c0, c1, c2, c3], -1).view(rows, -1)[:, :k]
