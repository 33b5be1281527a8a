"""A codebook: code vectors chosen by a relaxed category, for discrete autoencoders."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from relaxit.arguments import floating
from relaxit.arithmetic import full_precision_matmul, without_autocast
from relaxit.dtypes import compute_dtype
from relaxit.errors import ConfigurationError, ShapeError
from relaxit.estimators import SampleEstimator
from relaxit.masks import apply_mask
from relaxit.nn.relax import Relax
from relaxit.nn.tempered import Tempered
from relaxit.tracing import in_backward

__all__ = ["Codebook"]


class Codebook(Tempered):
    """Map logits over codes to code vectors, and keep track of which codes are used.

    In training mode the result is the mean of the code vectors, weighted by a sample of the
    estimator; in evaluation mode it is the vector of the code with the largest logit, which is
    looked up. The logits come from an encoder (dVAE), or from the distances of its outputs to the
    codes, :meth:`logits_of` (VQ).

    A training step takes at least the matrix product of samples ``[N, codes]`` with the codebook
    and two in the backward pass, for N positions, and holds the samples and their gradient.

    Args:
        codes: number of codes K.
        features: size D of a code vector.
        temperature: positive number, kept in a buffer; see :meth:`set_temperature`.
        estimator: an estimator that acts through the sample, or the name of one.
        dim: dimension of the codes in logits and of the features in the result.
        scale: number that squared distances are divided by in :meth:`logits_of`.
        decay: factor by which earlier batches count less in :attr:`usage`, from 0 to 1.
        generator: source of randomness.
        device, dtype: those of the code vectors.

    Raises:
        ConfigurationError: if a number is out of range.
        UnknownName: if there is no such estimator.
        Unsupported: if the estimator does not act through a sample.

    Attributes:
        weight: code vectors ``[codes, features]``, initially normal with an expected squared length
            of 1.
        usage: running frequencies ``[codes]`` of the codes drawn in training mode, initially equal.
        relax: the layer that draws; ``codebook.relax.distribution(logits)`` has the KL divergence.

    Example:
        >>> import torch
        >>> codebook = Codebook(512, 16, temperature=0.5, dim=1)
        >>> codebook(torch.randn(2, 512, 8, 8)).shape
        torch.Size([2, 16, 8, 8])
        >>> x = codebook.weight[[3, 5]].detach()
        >>> vq = Codebook(512, 16).eval()
        >>> vq.load_state_dict(codebook.state_dict())
        <All keys matched successfully>
        >>> vq.codes_of(vq.logits_of(x)), bool(torch.equal(vq(vq.logits_of(x)), x))
        (tensor([3, 5]), True)

    References: van den Oord, Vinyals, Kavukcuoglu, arXiv:1711.00937 (VQ); Ramesh et al.,
    arXiv:2102.12092, section 2.1 (dVAE).
    """

    usage: Tensor

    def __init__(
        self,
        codes: int,
        features: int,
        temperature: float = 1.0,
        estimator: SampleEstimator | str = "pathwise",
        *,
        dim: int = -1,
        scale: float = 1.0,
        decay: float = 0.99,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("codes", codes), ("features", features)):
            if not isinstance(value, int) or value < 1:
                raise ConfigurationError(f"Codebook: {name} must be an integer >= 1, got {value!r}")
        if not 0 < scale < math.inf:
            raise ConfigurationError(f"Codebook: scale must be positive and finite, got {scale}")
        if not 0 <= decay <= 1:
            raise ConfigurationError(f"Codebook: decay must be from 0 to 1, got {decay}")
        self.codes, self.features = codes, features
        self.dim, self.scale, self.decay = dim, scale, decay
        self.relax = Relax(
            "categorical", temperature, estimator, generator=generator, categories=codes
        )
        self.weight = nn.Parameter(torch.empty(codes, features, device=device, dtype=dtype))
        self.register_buffer("usage", torch.empty(codes, device=device))
        self.reset_parameters()

    def _apply(self, function: Any, recurse: bool = True) -> Codebook:
        super()._apply(function, recurse)
        self.usage = self.usage.float()  # a short dtype loses what a step adds
        return self

    def reset_parameters(self) -> None:
        """Draw the code vectors anew and forget which codes were used."""
        nn.init.normal_(self.weight, std=self.features**-0.5)
        nn.init.constant_(self.usage, 1 / self.codes)

    def forward(self, logits: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return code vectors.

        Args:
            logits: logits ``[...]`` with the codes at ``dim``.
            mask: bool tensor that broadcasts to logits, True where a code may be chosen.

        Returns:
            ``[...]`` with the features at ``dim``, in the dtype of the code vectors (in training
            under autocast, in its dtype).

        Raises:
            TypeError: if logits are not a floating-point tensor.
            ShapeError: if they do not have the size of the codebook at ``dim``.
        """
        if not self.training:
            vectors = functional.embedding(self.codes_of(logits, mask), self.weight)
            return vectors.movedim(-1, self.dim)
        scores = self._scores(logits, mask)
        sample = self.relax(scores)
        # In the backward pass a checkpoint computes this a second time.
        if torch.compiler.is_compiling() or not in_backward():
            self._count(sample.detach())
        return (sample.to(self.weight.dtype) @ self.weight).movedim(-1, self.dim)

    def codes_of(self, logits: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the codes with the largest logits, int64 ``[...]`` without ``dim``.

        Args:
            logits, mask: as for :meth:`forward`.
        """
        q = self.relax.distribution(self._scores(logits, mask))  # which rejects illegal logits
        return q.params.argmax(-1)

    def logits_of(self, x: Tensor) -> Tensor:
        """Return the negative squared distances to all codes, divided by the scale.

        Args:
            x: vectors ``[...]`` with the features at ``dim``.

        Returns:
            Logits ``[...]`` with the codes at ``dim``, in the dtype of x.

        Raises:
            TypeError: if x is not a floating-point tensor.
            ShapeError: if it does not have the size of a code vector at ``dim``.
        """
        floating("Codebook", "x", x)
        self._check(x, self.features, "x")
        with without_autocast(x):
            dtype = compute_dtype(torch.promote_types(x.dtype, self.weight.dtype))
            rows, codes = x.movedim(self.dim, -1).to(dtype), self.weight.to(dtype)
            lengths = rows.square().sum(-1, keepdim=True) + codes.square().sum(-1)
            distances = lengths - 2 * full_precision_matmul(rows, codes.mT)
            return (-distances / self.scale).movedim(-1, self.dim)

    def perplexity(self) -> Tensor:
        """Return the exponential of the entropy of :attr:`usage`, from 1 to the number of codes.

        It is the number of codes that would have this entropy if they were used equally.
        """
        return torch.special.entr(self.usage / self.usage.sum()).sum().exp()

    def extra_repr(self) -> str:
        return f"{self.codes}, {self.features}, dim={self.dim}"

    def _scores(self, logits: Tensor, mask: Tensor | None) -> Tensor:
        """Return logits with the codes last and ``-inf`` where a code is not allowed."""
        floating("Codebook", "logits", logits)
        self._check(logits, self.codes, "logits")
        return apply_mask("Codebook", logits, mask).movedim(self.dim, -1)

    def _check(self, tensor: Tensor, size: int, what: str) -> None:
        if tensor.dim() == 0 or tensor.size(self.dim) != size:
            raise ShapeError(
                f"Codebook: {what} must have size {size} at dimension {self.dim}, got "
                f"{list(tensor.shape)}"
            )

    @torch.no_grad()
    def _count(self, sample: Tensor) -> None:
        """Add the codes of a batch of samples to the running frequencies."""
        drawn = sample.argmax(-1).flatten()
        if drawn.numel():
            ones = torch.ones_like(drawn, dtype=torch.float32)
            counts = torch.zeros_like(self.usage, dtype=torch.float32).scatter_add_(0, drawn, ones)
            share = (counts / drawn.numel()).to(self.usage.dtype)
            self.usage.lerp_(share, 1 - self.decay)
