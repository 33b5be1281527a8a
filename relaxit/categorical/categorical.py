r"""The Gumbel-softmax (Concrete) relaxation of one choice among ``categories``.

With logits a and standard Gumbel noise G, the hard sample is the one-hot vector of
``argmax(a + G)``, which follows ``softmax(a)`` exactly, and the soft one is
``softmax((a + G) / tau)``. Its density on the simplex, with K categories, is

    log p(y) = lgamma(K) + (K - 1) log tau - K LSE_i(a_i - tau log y_i)
               + sum_i (a_i - (tau + 1) log y_i).

Masked categories (logit ``-inf``) are exact zeros and do not count in K, the sum and the LSE.

References: Maddison, Mnih, Teh, "The Concrete Distribution", arXiv:1611.00712, eq. 10;
Jang, Gu, Poole, "Categorical Reparameterization with Gumbel-Softmax", arXiv:1611.01144, eq. 2.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions.constraints import Constraint

from relaxit import Capabilities, Options, PerturbAndRelax, constraints, tracing
from relaxit.aliases import Generator
from relaxit.categorical.distributions import LogConcrete, OneHot, one_hot
from relaxit.categorical.fast import cpu, cuda
from relaxit.dtypes import compute_dtype, smallest_stored
from relaxit.noise import Source
from relaxit.seeded_distribution import SeededDistribution
from relaxit.temperature import divide_by_temperature

__all__ = ["Categorical", "CategoricalOptions"]


class CategoricalOptions(Options):
    """Options of :class:`Categorical`."""

    categories: int = Field(ge=1, description="number of categories K to choose from")


class Categorical(PerturbAndRelax):
    """One of K categories; params are logits ``[*batch, K]``, values lie on the simplex.

    Stored soft samples are clamped below at the smallest normal number of their dtype (in float16,
    at the smallest subnormal one), so that their ``log_prob`` is finite at any temperature. The
    density is then that of the clamped value; ``log_space`` is always exact.

    Example:
        >>> import torch, relaxit
        >>> categorical = relaxit.get("categorical", categories=3)
        >>> q = categorical(torch.tensor([0.0, 1.0, -torch.inf]), temperature=0.5)
        >>> soft, hard = q.draw(generator=torch.Generator().manual_seed(0))
        >>> hard, q.discrete.mean
        (tensor([0., 1., 0.]), tensor([0.2689, 0.7311, 0.0000]))
    """

    api = 1
    name = "categorical"
    aliases = ("gumbel-softmax", "gumbel", "concrete", "one-hot-categorical")
    summary = "one of K categories: Gumbel-softmax / Concrete"
    Options = CategoricalOptions
    references = ("arXiv:1611.00712 (Concrete), eq. 10", "arXiv:1611.01144 (Gumbel-softmax), eq. 2")
    capabilities = Capabilities(
        density=True,
        log_space=True,
        discrete_distribution=True,
        exact_rounding=True,
        masks=True,
        conditional=True,
        logits="category",
        exponential_family=True,
    )

    @classmethod
    def sizes(cls, shape: torch.Size) -> dict[str, int]:
        return {"categories": shape[-1]} if shape else {}

    @property
    def event_shape(self) -> torch.Size:
        return torch.Size((self.options.categories,))

    @property
    def param_shape(self) -> torch.Size:
        return self.event_shape

    @property
    def support(self) -> Constraint:
        return constraints.simplex

    @property
    def vertices(self) -> Constraint:
        return constraints.one_hot

    @property
    def log_cardinality(self) -> float:
        return math.log(self.options.categories)

    @classmethod
    def examples(cls) -> list[Categorical]:
        return [cls(categories=2), cls(categories=5)]

    def valid_params(self, params: Tensor) -> Tensor:
        if tracing.may_branch_on_values(params) and params.numel() and _all_finite(params):
            return _yes().expand(params.shape[:-1])  # five times as fast
        top = params.amax(-1)  # NaN if any entry is, -inf if all are masked
        return top.isfinite()

    def rsample(
        self,
        params: Tensor,
        temperature: float | Tensor,
        shape: torch.Size = torch.Size(),
        generator: Generator = None,
    ) -> Tensor:
        if samples := self._fast(params, temperature, shape, generator, hard=False):
            return samples[0]
        return super().rsample(params, temperature, shape, generator)

    def draw(
        self,
        params: Tensor,
        temperature: float | Tensor,
        shape: torch.Size = torch.Size(),
        generator: Generator = None,
    ) -> tuple[Tensor, Tensor]:
        if samples := self._fast(params, temperature, shape, generator, hard=True):
            return samples
        return super().draw(params, temperature, shape, generator)

    def straight_through(
        self,
        params: Tensor,
        temperature: float | Tensor,
        shape: torch.Size = torch.Size(),
        generator: Generator = None,
    ) -> Tensor:
        stored_as_computed = params.dtype == compute_dtype(params.dtype)
        if (
            type(self) is Categorical
            and stored_as_computed
            and 0 not in shape
            and not torch.compiler.is_compiling()
            and cpu.usable(params, temperature)
        ):
            return cpu.straight_through(params, temperature, shape, generator)
        return super().straight_through(params, temperature, shape, generator)

    def _fast(
        self,
        params: Tensor,
        temperature: float | Tensor,
        shape: torch.Size,
        generator: Source,
        hard: bool,
    ) -> Any:
        """Draw with an applicable fused implementation; None if only the reference one applies.

        The reference implementation is that of the base class, with :meth:`relax` and
        :meth:`argmax`, which a subclass may have changed.
        """
        if type(self) is not Categorical:
            return None
        if cuda.usable(params, temperature, generator):
            source: Any = generator  # a generator of the device, or None
            # The densities of float16 samples need the float32 samples that they are rounded from.
            wide = params.float() if params.dtype == torch.float16 else params
            soft, vertex = cuda.concrete(wide, temperature, shape, source, hard=hard)
        elif 0 in shape or not cpu.usable(params, temperature):
            return None
        else:
            wide = params.to(compute_dtype(params.dtype))
            soft, vertex = cpu.concrete(wide, temperature, shape, generator, hard=hard)
        if wide is params:
            return soft, vertex
        assert soft is not None
        return self.store(soft, params), None if vertex is None else vertex.to(params.dtype)

    def relax(self, scores: Tensor, temperature: float | Tensor) -> Tensor:
        # Differences first: at a low temperature the quotients themselves are infinite.
        top = scores.detach().amax(-1, keepdim=True)
        return torch.softmax(divide_by_temperature(scores - top, temperature), dim=-1)

    def argmax(self, scores: Tensor) -> Tensor:
        return one_hot(scores.argmax(-1), scores.shape[-1], scores.dtype)

    def perturb_given(
        self,
        params: Tensor,
        hard: Tensor,
        shape: torch.Size = torch.Size(),
        generator: Generator = None,
    ) -> Tensor:
        """Draw Gumbel-perturbed logits given the category of the largest one.

        The largest one has location LSE(a), whichever category it is. The others are Gumbel
        variables truncated there, X_j = -log(E_j exp(-a_j) + E_i exp(-LSE(a))), with E exponential.

        At logits of 1e4, float32 has three digits left for the noise, so that ties occur.

        Reference: Maddison, Tarlow, Minka, arXiv:1411.0030, section 3.
        """
        logits = params.to(compute_dtype(params.dtype))
        masked = logits == -torch.inf
        total = logits.logsumexp(-1, keepdim=True)
        full = shape + torch.broadcast_shapes(logits.shape, hard.shape)
        g = self.noise(full, dtype=logits.dtype, device=logits.device, generator=generator)
        # -log E of the chosen category; copied, because logaddexp is slow over a stride of 0.
        top = (g * hard).sum(-1, keepdim=True).expand(full).contiguous()
        # A masked category gets a finite placeholder, because inf - inf has no gradient.
        rest = -torch.logaddexp(total - logits.masked_fill(masked, 0.0) - g, -top)
        return (total + torch.where(hard > 0.5, top, rest)).masked_fill(masked, -torch.inf)

    def finish(self, soft: Tensor, params: Tensor) -> Tensor:
        least = smallest_stored(soft.dtype)
        return torch.maximum(soft, (params.detach() > -torch.inf).to(soft.dtype) * least)

    def log_prob(self, params: Tensor, temperature: float | Tensor, value: Tensor) -> Tensor:
        dtype = compute_dtype(params.dtype)
        masked = params == -torch.inf
        # A masked coordinate is not part of the simplex: its value must be 0 and is set to 1
        # before the logarithm, so that neither value nor gradient meets 0 * inf.
        log_value = value.to(dtype).masked_fill(masked, 1.0).log()
        outside = (masked & (value != 0)).any(-1)
        density = self.log_space(params, temperature).log_prob(log_value) - log_value.sum(-1)
        return density.masked_fill(outside, -torch.inf)

    def log_space(self, params: Tensor, temperature: float | Tensor) -> LogConcrete:
        return LogConcrete(params, temperature)

    def discrete(self, params: Tensor) -> SeededDistribution:
        return OneHot(self, params)


@cache
def _yes() -> Tensor:
    with torch.inference_mode(False):
        return torch.ones((), dtype=torch.bool, device="cpu")


def _all_finite(params: Tensor) -> bool:
    low, high = params.aminmax()  # both NaN if any entry is
    return math.isfinite(low) and math.isfinite(high)
