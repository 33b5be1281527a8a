r"""Fused implementation of the Concrete draw on the CPU, in few passes over memory.

It is a race: with E exponential and w_k = exp(a_k) / E_k the soft sample is ``w^(1/tau)`` divided
by its sum, and the hard sample marks the largest w. At temperature 1 this takes one logarithm (of
the noise) and one power of two, which PyTorch computes three times as fast as exp. PyTorch's
softmax and its reductions are slow over few categories; :func:`row_sum` is not.

The backward pass needs only the soft sample: y * (g - sum(g * y)) / tau.

It uses the same noise as the reference implementation, so the sample is the same up to rounding. It
is not used under ``torch.func``, nor if the temperature has a gradient, nor in an exported program.
Compiled code calls it as the operator ``relaxit::race``: the compiled reference implementation is
two to three times as slow.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch
from torch import Tensor

from relaxit import noise, tracing
from relaxit.arithmetic import has_reduced_precision
from relaxit.temperature import may_need_gradient, representable

__all__ = ["concrete", "row_sum", "straight_through", "usable"]

_LOG2E = math.log2(math.e)
_NOISE = 40.0
"""Upper bound of the difference of two log2 E in float32."""
_RANGE = 100.0
"""Exponents of two within which nothing underflows or overflows in float32."""


def usable(params: Tensor, temperature: float | Tensor) -> bool:
    """Whether :func:`concrete` may replace the reference implementation."""
    if may_need_gradient(temperature):
        return False
    if torch.compiler.is_compiling():
        operators = tracing.calls_operators() and not tracing.transforms_active()
        return operators and params.device.type == "cpu"
    return tracing.may_branch_on_values(params) and params.numel() > 0


def row_sum(x: Tensor) -> Tensor:
    """Compute ``x.sum(-1, keepdim=True)`` of a contiguous tensor, without gradient."""
    size = x.shape[-1]
    if size > 64 or has_reduced_precision(x.device):
        return x.sum(-1, keepdim=True)
    # A product with a vector of ones handles whole rows at once.
    return torch.mv(x.view(-1, size), _ones(size, x.dtype)).view(*x.shape[:-1], 1)


@cache
def _ones(size: int, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(False):
        return torch.ones(size, dtype=dtype, device="cpu")


def concrete(
    params: Tensor,
    temperature: float | Tensor,
    shape: torch.Size,
    generator: noise.Source = None,
    *,
    hard: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Draw soft samples and, if requested, hard samples from the same noise.

    Args:
        params: logits ``[*batch, K]`` in float32 or float64; ``-inf`` for masked categories.
        temperature: a number, or a tensor ``[]`` or ``[*batch, 1]`` without gradient.
        shape: shape of the independent draws.
        generator: source of randomness.
        hard: whether to return the hard sample.

    Returns:
        Samples ``[*shape, *batch, K]``. The soft one is clamped below at the smallest normal number
        where the category is not masked.
    """
    if torch.compiler.is_compiling():
        full = list(shape) + list(params.shape)
        race = noise.minus_exponential(
            full, dtype=params.dtype, device=params.device, generator=generator
        )
        if not isinstance(temperature, Tensor):
            temperature = torch.full((), temperature, dtype=torch.float64, device=params.device)
        soft, vertex = torch.ops.relaxit.race(params, race, temperature, hard)
        return soft, vertex if hard else None
    samples: tuple[Tensor, Tensor | None]
    samples = _Concrete.apply(
        params, _number(temperature, params.dtype), shape, generator, hard, False
    )
    return samples


def straight_through(
    params: Tensor, temperature: float | Tensor, shape: torch.Size, generator: noise.Source = None
) -> Tensor:
    """Draw hard samples with the gradient of the coupled soft ones; not for compiled code.

    Args:
        params, temperature, shape, generator: as for :func:`concrete`.
    """
    number = _number(temperature, params.dtype)
    vertex: Tensor = _Concrete.apply(params, number, shape, generator, True, True)[1]
    return vertex


class _Concrete(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        params: Tensor,
        temperature: float | Tensor,
        shape: torch.Size,
        generator: noise.Source,
        hard: bool,
        through: bool,  # whether the hard sample propagates its gradient
    ) -> tuple[Tensor, Tensor | None]:
        soft = noise.minus_exponential(
            shape + params.shape, dtype=params.dtype, device=params.device, generator=generator
        )
        vertex, ctx.floored = _run(soft, params, temperature, hard)
        ctx.temperature, ctx.sampled = temperature, len(shape)
        ctx.save_for_backward(soft)
        if vertex is not None and not through:
            ctx.mark_non_differentiable(vertex)
        ctx.set_materialize_grads(False)
        return soft, vertex

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        arrived = [grad for grad in grads if grad is not None]
        if not arrived:
            return (None,) * 6
        (soft,) = ctx.saved_tensors
        inner = _pull(soft, sum(arrived[1:], arrived[0]), ctx.temperature, ctx.floored)
        if ctx.sampled:
            inner = inner.sum(tuple(range(ctx.sampled)))
        return inner, *(None,) * 5


def _run(
    race: Tensor, params: Tensor, temperature: float | Tensor, hard: bool
) -> tuple[Tensor | None, bool]:
    """Run the race; the soft samples overwrite ``race``, which is minus exponential noise.

    Returns:
        The hard samples, if requested, and whether a soft entry was clamped.
    """
    low, high = (float(end) for end in params.aminmax())
    spread = (high - low) * _LOG2E  # inf if a category is masked, NaN if any entry is
    even, vertex = not isinstance(temperature, Tensor), None
    # The differences themselves must not overflow either.
    far = not even or not spread + _NOISE < min(_RANGE * temperature, 1e38)
    if even and temperature == 1.0 and not far:
        central = max(-low, high) * _LOG2E < _RANGE / 2  # no need to subtract the largest
        logits = params.mul(_LOG2E) if central else params.sub(high).mul_(_LOG2E)
        torch.div(logits.exp2_(), race, out=race)  # negative, and so are the sums
        if hard:
            vertex = _marks(race, race.amin(-1, keepdim=True))
        race.div_(row_sum(race))
        return vertex, False
    # If far apart, each row subtracts its own maximum: that of another row would round it away.
    logits = params.sub(_top(params) if far else high).mul_(_LOG2E)
    torch.sub(logits, race.neg_().log2_(), out=race)
    if hard or far:
        top = _top(race)
        vertex = _marks(race, top) if hard else None
        if far:
            race -= top
    race.div_(temperature).exp2_()
    race.div_(row_sum(race))
    return vertex, far and _floor(race, params)


def _top(scores: Tensor) -> Tensor:
    return scores.amax(-1, keepdim=True)


def _marks(scores: Tensor, best: Tensor) -> Tensor:
    """Return one-hot vectors of the score that equals the best of its row, the first if tied."""
    vertex = torch.empty_like(scores)
    torch.eq(scores, best, out=vertex)
    # Counts up to 2^24 are exact in float32, where the sum takes a tenth of the time.
    count = vertex.sum() if best.numel() < 1 << 24 else vertex.sum(dtype=torch.float64)
    if float(count) != best.numel():  # a tie
        first = vertex.argmax(-1, keepdim=True)
        vertex.zero_().scatter_(-1, first, 1.0)
    return vertex


def _floor(soft: Tensor, params: Tensor) -> bool:
    """Clamp entries below the smallest normal number in place; return whether there were any."""
    least = torch.finfo(soft.dtype).tiny
    below = bool(soft.min() < least)
    if below:
        torch.maximum(soft, (params > -torch.inf).to(soft.dtype) * least, out=soft)
    return below


def _pull(soft: Tensor, grad: Tensor, temperature: float | Tensor, floored: bool) -> Tensor:
    """Multiply a vector by the symmetric Jacobian, in few passes if first order is enough."""
    if floored:  # clamped entries are constants
        grad = grad * (soft > torch.finfo(soft.dtype).tiny)
    if torch.is_grad_enabled() or not tracing.may_branch_on_values(grad):
        return soft * (grad - (grad * soft).sum(-1, keepdim=True)) / temperature
    inner = torch.empty_like(soft)
    torch.mul(grad, soft, out=inner)
    inner.addcmul_(soft, row_sum(inner), value=-1)
    if isinstance(temperature, Tensor) or temperature != 1.0:
        inner.div_(temperature)
    return inner


# For compilers. Defined by hand: the first call of a ``torch.library.custom_op`` imports the whole
# of torch.compile, which takes a second.
torch.library.define(
    "relaxit::race",
    "(Tensor params, Tensor noise, Tensor temperature, bool hard) -> (Tensor, Tensor)",
)
torch.library.define(
    "relaxit::race_backward",
    "(Tensor soft, Tensor grad, Tensor temperature) -> Tensor",
)


@torch.library.impl("relaxit::race", "CompositeExplicitAutograd")
def _race(
    params: Tensor, exponential: Tensor, temperature: Tensor, hard: bool
) -> tuple[Tensor, Tensor]:
    soft = exponential.clone(memory_format=torch.contiguous_format)
    none = soft.new_empty(0)
    if not soft.numel():
        return soft, soft.clone() if hard else none
    vertex, _ = _run(soft, params, _number(temperature, soft.dtype), hard)
    return soft, none if vertex is None else vertex


def _number(temperature: float | Tensor, dtype: torch.dtype) -> float | Tensor:
    """Return a temperature of one element as a number, which takes fewer passes."""
    if isinstance(temperature, Tensor) and temperature.numel() != 1:
        return temperature
    return representable(float(temperature), dtype)


@torch.library.impl("relaxit::race_backward", "CompositeExplicitAutograd")
def _race_backward(soft: Tensor, grad: Tensor, temperature: Tensor) -> Tensor:
    if not soft.numel():
        return torch.empty_like(soft)
    number = _number(temperature, soft.dtype)
    with torch.no_grad():
        return _pull(soft, grad, number, bool(soft.min() <= torch.finfo(soft.dtype).tiny))


@torch.library.register_fake("relaxit::race")
def _(
    params: Tensor, exponential: Tensor, temperature: Tensor, hard: bool
) -> tuple[Tensor, Tensor]:
    full = exponential.shape if hard else (0,)
    return params.new_empty(exponential.shape), params.new_empty(full)


@torch.library.register_fake("relaxit::race_backward")
def _(soft: Tensor, grad: Tensor, temperature: Tensor) -> Tensor:
    return torch.empty_like(soft)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    params, exponential, temperature, _ = inputs
    ctx.save_for_backward(output[0], temperature)
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)
    ctx.sampled = exponential.dim() - params.dim()


def _back(ctx: Any, grad: Tensor | None, _: Tensor | None) -> tuple[Tensor | None, ...]:
    if grad is None:
        return (None,) * 4
    soft, temperature = ctx.saved_tensors
    inner = torch.ops.relaxit.race_backward(soft, grad, temperature)
    if ctx.sampled:
        inner = inner.sum(tuple(range(ctx.sampled)))
    return inner, None, None, None


def _keep_again(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _back_again(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, None]:
    """Use elementary operations, which have derivatives of any order."""
    soft, grad, temperature = ctx.saved_tensors
    moves = soft > torch.finfo(soft.dtype).tiny
    grad = grad * moves
    inner, outer = ((x * soft).sum(-1, keepdim=True) for x in (grad, upstream))
    in_soft = (upstream * (grad - inner) - grad * outer) / temperature
    return in_soft, moves * soft * (upstream - outer) / temperature, None


torch.library.register_autograd("relaxit::race", _back, setup_context=_keep)
torch.library.register_autograd("relaxit::race_backward", _back_again, setup_context=_keep_again)
