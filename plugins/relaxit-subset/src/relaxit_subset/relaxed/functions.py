"""Functions that choose k of n entries along any dimension of a tensor."""

from __future__ import annotations

import operator

from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from relaxit import (
    ConfigurationError,
    Relaxation,
    RelaxedDistribution,
    RelaxitError,
    SampleEstimator,
    ShapeError,
)
from relaxit.aliases import Generator
from relaxit.arguments import estimator_for, floating, relaxation_for, without_dim
from relaxit.arithmetic import without_autocast
from relaxit.dtypes import compute_dtype
from relaxit.masks import apply_mask

__all__ = ["sample_subset", "soft_topk"]


def soft_topk(
    scores: Tensor,
    k: int,
    temperature: float | Tensor = 1.0,
    *,
    dim: int = -1,
    mask: Tensor | None = None,
) -> Tensor:
    r"""Return the soft indicator of the k largest scores: entries in [0, 1] that sum to k.

    It is the entropy-regularised top-k, without noise: the y that maximises
    ``<scores, y> / temperature + sum_i H(y_i)`` among all y in [0, 1] that sum to k, where H is the
    entropy of a bit. As the temperature tends to 0 it tends to the indicator of the k largest
    scores, as it grows to k / n everywhere. Equal scores get equal entries. For random subsets use
    :func:`sample_subset`.

    Args:
        scores: scores ``[...]`` of a floating-point dtype; ``-inf`` gives exactly 0, ``+inf``
            exactly 1.
        k: number of entries that are chosen, from 0 to the size of ``dim``.
        temperature: positive number, or tensor that broadcasts to the shape of scores without
            ``dim`` (or with size 1 there).
        dim: dimension of the entries.
        mask: bool tensor that broadcasts to scores, True where an entry may be chosen.

    Returns:
        A tensor of the shape and dtype of scores, with derivatives of every order.

    Raises:
        TypeError: if scores are not a floating-point tensor, the mask is not bool, or k is not an
            integer.
        IndexError: if there is no such dimension.
        ShapeError: if there are no entries, or temperature or mask do not broadcast.
        ConfigurationError: if k is negative or exceeds the size of ``dim``.
        DomainError: if the temperature is not finite and positive, or (on the CPU) a score is NaN,
            or fewer than k entries are allowed.

    Example:
        >>> import torch
        >>> soft_topk(torch.tensor([2.0, 1.0, 0.0, -1.0]), 2, 0.5)
        tensor([0.9526, 0.7311, 0.2689, 0.0474])
        >>> soft_topk(torch.eye(3), 1, 0.1, dim=0).argmax(0)
        tensor([0, 1, 2])

    References: Amos, Koltun, Kolter, arXiv:1906.08707 (the projection); Paulus et al.,
    arXiv:2006.08063 (the regulariser).
    """
    if has_torch_function_unary(scores):  # a subclass of Tensor, or a symbolic trace
        return handle_torch_function(
            soft_topk, (scores,), scores, k, temperature, dim=dim, mask=mask
        )
    q = _distribution("soft_topk", "scores", scores, k, temperature, dim, mask, "subset")
    with without_autocast(scores):
        params = q.params.to(compute_dtype(q.params.dtype))
        soft: Tensor = q.relaxation.relax(params, q.aligned_temperature)  # type: ignore[attr-defined]
    return soft.to(scores.dtype).movedim(-1, dim)


def sample_subset(
    logits: Tensor,
    k: int,
    temperature: float | Tensor = 1.0,
    *,
    hard: bool = False,
    dim: int = -1,
    mask: Tensor | None = None,
    estimator: SampleEstimator | str | None = None,
    distribution: Relaxation | str = "subset",
    generator: Generator = None,
) -> Tensor:
    """Draw k of n entries, softly or as a vector of zeros and ones, with a gradient.

    Args:
        logits: logits ``[...]`` of a floating-point dtype along ``dim``; ``-inf`` excludes an
            entry, ``+inf`` forces it in.
        k: number of entries that are chosen, from 0 to the size of ``dim``.
        temperature: positive number, or tensor that broadcasts to the shape of logits without
            ``dim`` (or with size 1 there).
        hard: whether to return zeros and ones. Their gradient is that of the soft sample of the
            same noise (``st-gumbel``), or that of the estimator.
        dim: dimension of the entries.
        mask: bool tensor that broadcasts to logits, True where an entry may be chosen.
        estimator: estimator of the gradient, or its name, such as ``"simple"``. Those that return
            zeros and ones need ``hard=True``.
        distribution: ``"subset"`` (conditional Poisson) or ``"subset-plackett-luce"``
            (Gumbel-top-k), or another relaxation with options n and k; an object must have this k.
            The two differ in the discrete distribution, which ``simple`` and ``straight-through``
            draw from; the samples of ``pathwise`` and ``st-gumbel`` are the same.
        generator: source of randomness.

    Returns:
        Samples of the shape and dtype of logits, which sum to k along ``dim``.

    Raises:
        TypeError, IndexError, ShapeError, DomainError: as :func:`soft_topk`.
        UnknownName: if there is no such estimator or distribution.
        ConfigurationError: if k is out of range, the estimator does not fit ``hard``, or the
            distribution has another k or none.
        Unsupported: if the estimator does not act through a sample.

    Example:
        >>> import torch
        >>> logits = torch.zeros(2, 5, 3, requires_grad=True)
        >>> z = sample_subset(logits, 2, 0.5, hard=True, dim=1)
        >>> z.shape, z.sum(1).unique()
        (torch.Size([2, 5, 3]), tensor([2.], grad_fn=<Unique2Backward0>))

    References: arXiv:2006.08063 (the soft sample); arXiv:2210.01941 (``simple``); arXiv:1903.06059
    (Gumbel-top-k).
    """
    if has_torch_function_unary(logits):
        return handle_torch_function(
            sample_subset, (logits,), logits, k, temperature, hard=hard, dim=dim, mask=mask,
            estimator=estimator, distribution=distribution, generator=generator,
        )  # fmt: skip
    owner = "sample_subset"
    chosen = estimator_for(owner, estimator, hard)
    q = _distribution(owner, "logits", logits, k, temperature, dim, mask, distribution)
    chosen.check(q.relaxation)
    with without_autocast(q.params):
        return chosen.sample(q, generator=generator).movedim(-1, dim)


def _distribution(
    owner: str,
    what: str,
    scores: Tensor,
    k: int,
    temperature: float | Tensor,
    dim: int,
    mask: Tensor | None,
    distribution: Relaxation | str,
) -> RelaxedDistribution:
    """Return the distribution over subsets of the entries along ``dim``, which is moved last."""
    floating(owner, what, scores)
    k = _integer(owner, k)
    if scores.dim() == 0 or scores.size(dim) == 0:
        raise ShapeError(f"{owner}: there are no entries in {what} {list(scores.shape)}")
    if not 0 <= k <= scores.size(dim):
        raise ConfigurationError(
            f"{owner}: k must be from 0 to {scores.size(dim)}, the size of dimension {dim}, got {k}"
        )
    params = apply_mask(owner, scores, mask).movedim(dim, -1)
    relaxation = relaxation_for(distribution, params.shape, {"k": k})
    own = getattr(relaxation.options, "k", None)
    if own != k:
        raise ConfigurationError(
            f"{owner}: k is {k}, but the distribution {relaxation.name!r} has the option k={own}; "
            "pass one with the same k"
        )
    temperature = without_dim(owner, temperature, scores, dim)
    try:
        return relaxation(params, temperature)
    except (RelaxitError, TypeError) as error:  # names the relaxation and its params
        kind, said = type(error), error.args[0]
    said = said.removeprefix(f"{relaxation.name}: ").replace("params", what)
    raise kind(f"{owner}: {said}")


def _integer(owner: str, k: int) -> int:
    """Return k as an ``int``; integers of NumPy are accepted."""
    try:
        # The index of a tensor would be read from its device.
        return operator.index("" if isinstance(k, bool | Tensor) else k)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{owner}: k must be an integer, got {k!r}") from None
