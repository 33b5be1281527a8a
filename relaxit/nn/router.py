"""Routing of tokens to the k best of several experts, through a relaxed k-subset."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from relaxit.arguments import floating, relaxation_class, relaxation_for
from relaxit.arithmetic import without_autocast
from relaxit.dtypes import compute_dtype
from relaxit.errors import ConfigurationError, ShapeError, Unsupported
from relaxit.masks import apply_mask
from relaxit.nn.relax import Relax
from relaxit.nn.tempered import Tempered
from relaxit.perturb import PerturbAndRelax
from relaxit.relaxation import Relaxation, RelaxedDistribution

__all__ = ["Routing", "TopKRouter"]


class Routing(NamedTuple):
    """What :class:`TopKRouter` returns.

    Attributes:
        experts: indices ``[*batch, k]`` of the chosen experts, int64, the best one first.
        weights: weights ``[*batch, k]`` of their outputs, with gradient, in the dtype of the input;
            0 for what is not a token.
        logits: logits ``[*batch, experts]`` without noise, in float32 or float64.
        balance_loss: E times the inner product of ``load`` and ``importance``, 0-dim. Its least
            value over balanced loads is 1.
        z_loss: mean square of the logarithm of the partition function of the logits, 0-dim.
        load: fraction ``[experts]`` of all choices that go to each expert; sums to 1.
        importance: mean probability ``[experts]`` of each expert; sums to 1.
    """

    experts: Tensor
    weights: Tensor
    logits: Tensor
    balance_loss: Tensor
    z_loss: Tensor
    load: Tensor
    importance: Tensor


class TopKRouter(Tempered):
    """Choose k of E experts for each token, with weights that have a gradient.

    Logits are a linear function of the token. In training mode the experts are the k best after
    adding Gumbel noise, in evaluation mode, or with ``noise=False``, the k best. The weights are
    the entries of the soft sample at the chosen experts, divided by their sum. All of it is
    computed in float32 at least, also under autocast ("selective precision").

    Args:
        features: size of a token; None if the logits themselves are passed to the router.
        experts: number E of experts.
        k: number of experts that a token is sent to.
        temperature: positive number, kept in a buffer; see :meth:`set_temperature`.
        noise: whether experts are explored in training mode.
        normalize: whether the weights of a token sum to 1. None means for k > 1: a single
            normalised weight is the constant 1, and the logits would get no gradient from it.
            Without it the weights are the entries of the soft sample, as in Switch Transformers.
        relaxation: relaxation of E params, or its name; by default ``categorical`` for k = 1 and
            ``subset``, of the package relaxit-subset, for k > 1.
        generator: source of randomness.
        device, dtype: those of the weights of the linear function.

    Raises:
        UnknownName: if there is no such relaxation; names the package to install.
        ConfigurationError: if k is out of range, or ``normalize`` is set for k = 1.
        Unsupported: if the relaxation does not choose k of E by scores.

    Example:
        >>> import torch
        >>> router = TopKRouter(16, experts=8, k=1)
        >>> routing = router(torch.randn(32, 16))
        >>> routing.experts.shape, routing.weights.shape, routing.load.sum()
        (torch.Size([32, 1]), torch.Size([32, 1]), tensor(1.))

    References: Fedus, Zoph, Shazeer, "Switch Transformers", arXiv:2101.03961, equations 4 to 6
    (the balance loss, here divided by k for several choices); Zoph et al., "ST-MoE",
    arXiv:2202.08906, equation 5 (the z-loss).
    """

    def __init__(
        self,
        features: int | None,
        experts: int,
        k: int = 2,
        temperature: float = 1.0,
        *,
        noise: bool = True,
        normalize: bool | None = None,
        relaxation: Relaxation | str | None = None,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(experts, int) or experts < 1:
            raise ConfigurationError(
                f"TopKRouter: experts must be an integer >= 1, got {experts!r}"
            )
        if not isinstance(k, int) or not 1 <= k <= experts:
            raise ConfigurationError(
                f"TopKRouter: k must be an integer from 1 to the {experts} experts, got {k!r}"
            )
        if normalize and k == 1:
            raise ConfigurationError(
                "TopKRouter: a single normalised weight is the constant 1, which gives the logits "
                "no gradient; omit normalize"
            )
        self.features, self.experts, self.k = features, experts, k
        self.noise = noise
        self.normalize = k > 1 if normalize is None else normalize
        if relaxation is None:
            relaxation = "categorical" if k == 1 else "subset"
        if isinstance(relaxation, str):
            cls = relaxation_class(relaxation)
            options = {"k": k} if "k" in cls.Options.model_fields else {}
            relaxation = relaxation_for(cls, torch.Size((experts,)), options)
        self.relax = Relax(relaxation, temperature, generator=generator)
        _check(self.relax.relaxation, experts, k)
        if features is not None:
            self.scores = nn.Linear(features, experts, bias=False, device=device, dtype=dtype)

    def forward(
        self, x: Tensor, mask: Tensor | None = None, *, tokens: Tensor | None = None
    ) -> Routing:
        """Return the experts of each token, their weights, and losses that balance them.

        Args:
            x: tokens ``[*batch, features]``, or logits ``[*batch, experts]`` if ``features`` is
                None.
            mask: bool tensor that broadcasts to ``[*batch, experts]``, True where an expert may be
                chosen; at least k must be.
            tokens: bool tensor ``[*batch]``, True for tokens and False for padding, which has
                weights 0 and does not count in losses and fractions.

        Raises:
            TypeError: if x is not a floating-point tensor, or mask or tokens are not bool.
            ShapeError: if a shape does not fit.
            DomainError: if (on the CPU) fewer than k experts are allowed, or a logit is NaN.
        """
        floating("TopKRouter", "x", x)
        size = self.experts if self.features is None else self.features
        if x.dim() == 0 or x.shape[-1] != size:
            raise ShapeError(f"TopKRouter: x must be [*, {size}], got {list(x.shape)}")
        real = self._real(x, tokens)
        with without_autocast(x):
            wide = x.to(compute_dtype(x.dtype))
            if tokens is not None:  # padding may hold anything, even NaN, and 0 times NaN is NaN
                wide = wide.masked_fill(~real.unsqueeze(-1), 0.0)
            if self.features is not None:
                wide = functional.linear(wide, self.scores.weight.to(wide.dtype))
            scores = apply_mask("TopKRouter", wide, mask)
            if tokens is not None and mask is not None:  # which may allow nothing there
                scores = scores.masked_fill(~real.unsqueeze(-1), 0.0)
            experts, weights = self._choose(scores)
            weights = weights.masked_fill(~real.unsqueeze(-1), 0.0).to(x.dtype)
            return Routing(experts, weights, wide, *self._statistics(scores, experts, real))

    def _real(self, x: Tensor, tokens: Tensor | None) -> Tensor:
        """Return which tokens are not padding, ``[*batch]``."""
        if tokens is None:
            return torch.ones(x.shape[:-1], dtype=torch.bool, device=x.device)
        if not isinstance(tokens, Tensor) or tokens.dtype != torch.bool:
            got = tokens.dtype if isinstance(tokens, Tensor) else type(tokens).__name__
            raise TypeError(f"TopKRouter: tokens must be a bool tensor, got {got}")
        if tokens.shape != x.shape[:-1]:
            raise ShapeError(
                f"TopKRouter: tokens must be {list(x.shape[:-1])}, got {list(tokens.shape)}"
            )
        return tokens

    def _choose(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Return the chosen experts and their weights, both ``[*batch, k]``."""
        if self.noise and self.training:
            soft = self.relax(scores)
            experts = soft.detach().topk(self.k, -1).indices
        else:
            soft = _without_noise(self.relax.distribution(scores))
            experts = scores.detach().topk(self.k, -1).indices
        weights = soft.gather(-1, experts)
        return experts, weights / weights.sum(-1, keepdim=True) if self.normalize else weights

    def _statistics(self, scores: Tensor, experts: Tensor, real: Tensor) -> tuple[Tensor, ...]:
        """Return balance loss, z-loss, load and importance, without padding."""
        each = real.to(scores.dtype).unsqueeze(-1)
        count = each.sum().clamp_min(1.0)
        over = tuple(range(scores.dim() - 1))
        chosen = torch.zeros_like(scores).scatter(-1, experts, 1.0) * each
        load = (chosen.sum(over) if over else chosen) / (count * self.k)
        weighted = scores.softmax(-1) * each
        importance = (weighted.sum(over) if over else weighted) / count
        balance = self.experts * (load * importance).sum()
        squares = scores.logsumexp(-1, keepdim=True).square() * each
        return balance, squares.sum() / count, load, importance.detach()

    def extra_repr(self) -> str:
        return f"{self.k} of {self.experts}, noise={self.noise}, normalize={self.normalize}"


def _without_noise(q: RelaxedDistribution) -> Tensor:
    relaxation = q.relaxation
    assert isinstance(relaxation, PerturbAndRelax)  # checked when the router was built
    return relaxation.relax(q.params, q.aligned_temperature)


def _check(relaxation: Relaxation, experts: int, k: int) -> None:
    """Reject a structure whose values are not the indicators of k of E, chosen by scores."""
    alike = relaxation.param_shape == relaxation.event_shape == torch.Size((experts,))
    by_scores = isinstance(relaxation, PerturbAndRelax) and relaxation.common_sum() == k
    if not (alike and by_scores):
        raise Unsupported(f"TopKRouter: {relaxation!r} does not choose {k} of {experts} by scores")
