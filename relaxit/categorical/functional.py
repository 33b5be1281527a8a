"""``gumbel_softmax``: PyTorch's function of that name, with checks, masks and estimators.

Small tensors take the few operations of PyTorch's own function, because there the time is that of
calling them. Larger ones are drawn by the relaxation, with its fused implementations.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from relaxit import Relaxation, SampleEstimator, ShapeError, tracing
from relaxit.aliases import Generator
from relaxit.arguments import estimator_for, floating, relaxation_for, without_dim
from relaxit.arithmetic import without_autocast
from relaxit.categorical.categorical import Categorical
from relaxit.dtypes import compute_dtype
from relaxit.masks import apply_mask
from relaxit.shapes import plain_shape
from relaxit.temperature import check_temperature_value, without_overflow

__all__ = ["gumbel_softmax"]

_SMALL = 4096
"""Numbers up to which calling operations takes longer than computing them."""
_LARGE = 1 << 17
"""Numbers beyond which our operators are faster on the CPU than what a compiler generates."""
_SHORT = (torch.float16, torch.bfloat16)
_DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
_NUMBERS = (float, int)


def gumbel_softmax(
    logits: Tensor,
    tau: float | Tensor = 1,
    hard: bool = False,
    dim: int = -1,
    *,
    estimator: SampleEstimator | str | None = None,
    mask: Tensor | None = None,
    generator: Generator = None,
) -> Tensor:
    """Draw one of several categories, softly or as a one-hot vector with a gradient.

    It replaces :func:`torch.nn.functional.gumbel_softmax`, with the same distribution and the same
    gradient, and is tested against it. Unlike that function it computes float16 and bfloat16 in
    float32, keeps a hard sample exactly one-hot, and rejects what would give NaN.

    Args:
        logits: logits ``[...]`` along ``dim``, of a floating-point dtype; ``-inf`` excludes a
            category. Probabilities must be passed as ``probs.log()``.
        tau: temperature, a positive number, or a tensor that broadcasts to the shape of logits
            without ``dim`` (or with size 1 there).
        hard: whether to return one-hot vectors. Their gradient is that of the soft sample
            (straight-through Gumbel-softmax), or that of the estimator.
        dim: dimension of the categories.
        estimator: estimator of the gradient, or its name, such as ``"reinmax"``. Those that return
            one-hot vectors need ``hard=True``.
        mask: bool tensor that broadcasts to the shape of logits, True where a category is allowed.
            At least one must be, for each choice.
        generator: source of randomness.

    Returns:
        Samples of the shape and dtype of logits, which sum to 1 along ``dim``.

    Raises:
        TypeError: if logits are not a floating-point tensor, or the mask is not bool.
        IndexError: if there is no such dimension.
        ShapeError: if there are no categories, or tau or the mask do not broadcast.
        DomainError: if tau is not finite and positive, or (on the CPU) a logit is NaN or ``+inf``
            or no category is allowed.
        ConfigurationError: if the estimator does not fit ``hard``.

    Example:
        >>> import torch, relaxit
        >>> logits = torch.zeros(2, 3, 4, requires_grad=True)
        >>> z = relaxit.gumbel_softmax(logits, tau=0.5, hard=True, dim=1)
        >>> z.shape, z.sum(1).unique()
        (torch.Size([2, 3, 4]), tensor([1.], grad_fn=<Unique2Backward0>))

    References: Jang, Gu, Poole, arXiv:1611.01144; Maddison, Mnih, Teh, arXiv:1611.00712.
    """
    if has_torch_function_unary(logits):  # a subclass of Tensor, or a symbolic trace
        return handle_torch_function(
            gumbel_softmax, (logits,), logits, tau, hard, dim,
            estimator=estimator, mask=mask, generator=generator,
        )  # fmt: skip
    if (
        estimator is None
        and mask is None
        and isinstance(logits, Tensor)
        and logits.is_cpu
        and _is_plain(logits, tau)
    ):
        divisor = 1 if tau == 1 else _divisor(float(tau), compute_dtype(logits.dtype))
        soft = _plain(logits, divisor, dim, generator)
        if torch.equal(soft, soft):  # no NaN
            return _one_hot(soft, dim) if hard else soft
    return _drawn(logits, tau, hard, dim, estimator, mask, generator)


def _is_plain(logits: Tensor, tau: float | Tensor) -> bool:
    """Whether nothing about the arguments or the process calls for care."""
    return (
        logits.dtype in _DTYPES
        and logits.dim() > 0
        and isinstance(tau, _NUMBERS)
        and not isinstance(tau, bool)
        and 1e-3 <= tau <= 1e3
        and not torch.compiler.is_compiling()
        and not tracing.observed()
        and 0 < logits.numel() <= _SMALL  # last: a compiler would compile again beyond that size
    )


def _plain(logits: Tensor, tau: float | Tensor, dim: int, generator: Generator) -> Tensor:
    """Return soft samples, computed by the operations of PyTorch's function."""
    if logits.dtype in _SHORT:
        return _plain(logits.float(), tau, dim, generator).to(logits.dtype)
    noise = torch.empty_like(logits)
    if generator is None:
        noise.exponential_()
    else:
        tracing.check_source(generator)
        noise.exponential_(generator=generator)
    scores = logits - noise.log_()  # minus a Gumbel variable
    if isinstance(tau, Tensor) or tau != 1:
        scores = scores / tau
    return scores.softmax(dim)


@lru_cache(maxsize=128)
def _divisor(tau: float, dtype: torch.dtype) -> Tensor:
    """Return a temperature as a tensor: autograd divides by one in half the time of a number."""
    with torch.inference_mode(False):
        return torch.tensor(tau, dtype=dtype, device="cpu")


def _one_hot(soft: Tensor, dim: int) -> Tensor:
    """Return the vertices nearest to soft samples, with the gradient of these.

    The order of the sum makes it exact: ``(1 - s) + s`` rounds to 1, and ``-s + s`` is 0.
    """
    still = soft.detach()
    best = still.max(dim, keepdim=True).indices
    return torch.zeros_like(still).scatter_(dim, best, 1.0).sub_(still) + soft


def _drawn(
    logits: Tensor,
    tau: float | Tensor,
    hard: bool,
    dim: int,
    estimator: SampleEstimator | str | None,
    mask: Tensor | None,
    generator: Generator,
) -> Tensor:
    """Draw with the relaxation: any size, dtype, device, temperature and estimator."""
    owner = "gumbel_softmax"
    floating(owner, "logits", logits)
    if logits.dim() == 0 or plain_shape(logits.movedim(dim, -1))[-1] == 0:
        raise ShapeError(f"{owner}: there are no categories in logits {list(logits.shape)}")
    scores = apply_mask(owner, logits, mask)
    if isinstance(tau, _NUMBERS):
        check_temperature_value(tau, owner)
        tau = without_overflow(tau, compute_dtype(scores.dtype))
    if estimator is None and generator is None and _fuses(scores, tau, dim):
        soft = _plain(scores, tau, dim, None)
        return _one_hot(soft, dim) if hard else soft
    scores = scores.movedim(dim, -1)
    relaxation = relaxation_for(Categorical, plain_shape(scores), {})
    if estimator is None and isinstance(tau, _NUMBERS) and tracing.may_branch_on_values(scores):
        value = _checked(relaxation, scores, tau, hard, generator)
        if value is not None:
            return value.movedim(-1, dim)
    chosen = estimator_for(owner, estimator, hard)
    q = relaxation(scores, without_dim(owner, tau, logits, dim))
    with without_autocast(scores):
        return chosen.sample(q, generator=generator).movedim(-1, dim)


def _fuses(scores: Tensor, tau: float | Tensor, dim: int) -> bool:
    """Whether a compiler makes the best code of the operations of PyTorch's function.

    It fuses them, but draws on the CPU more slowly than our operators, whose calls cost more.
    """
    if not torch.compiler.is_compiling():
        return False
    if isinstance(tau, Tensor) and (tau.dim() > 0 or tau.requires_grad):
        return False
    large = scores.is_cpu and scores.numel() > _LARGE and dim in (-1, scores.dim() - 1)
    return not (large and tracing.calls_operators())


def _checked(
    relaxation: Relaxation, scores: Tensor, tau: float, hard: bool, generator: Generator
) -> Tensor | None:
    """Draw without building a distribution; None if that has to say what is wrong."""
    with without_autocast(scores):
        if not hard:
            value = relaxation.rsample(scores, tau, torch.Size(), generator)
            return value if torch.equal(value, value) else None  # which NaN is not
        if not relaxation.valid_params(scores.detach()).all():
            return None
        return relaxation.straight_through(scores, tau, torch.Size(), generator)
