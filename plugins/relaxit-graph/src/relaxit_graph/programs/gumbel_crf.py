"""The Gumbel-CRF: a chain whose hard sample is exact, with each drawn state relaxed."""

from __future__ import annotations

from dataclasses import replace

import torch
from pydantic import Field
from torch import Tensor

from relaxit import Options, noise
from relaxit.aliases import Generator
from relaxit.dtypes import compute_dtype
from relaxit.sum_product import log_sum
from relaxit.temperature import divide_by_temperature
from relaxit_graph.programs.messages import backward_samples, forward_messages
from relaxit_graph.programs.state_chain import StateChain

__all__ = ["GumbelCrf", "GumbelCrfOptions"]


class GumbelCrfOptions(Options):
    """Options of :class:`GumbelCrf`."""

    length: int = Field(ge=1, description="number of positions")
    states: int = Field(ge=1, description="number of states")


class GumbelCrf(StateChain):
    """A chain of states whose hard samples follow the exact distribution.

    Params, values and the discrete distribution are those of :class:`Chain`. States are drawn from
    the last position to the first by Gumbel-max, each given the hard state of the next position,
    and each draw is relaxed to the softmax of the same perturbed scores over the temperature. So
    the hard sample of ``draw`` is one of ``discrete``.

    The gradient of a soft sample leaves out that hard states change with params, so even that of a
    linear cost of soft samples is biased.

    Reference: Fu et al., "Latent Template Induction with Gumbel-CRFs", arXiv:2011.14244, algorithm
    2.

    Example:
        >>> import torch, relaxit
        >>> crf = relaxit.get("gumbel-crf", length=5, states=3)
        >>> q = crf(crf.join(unary=torch.randn(32, 5, 3), pair=torch.eye(3)), temperature=0.5)
        >>> soft, hard = q.draw()
        >>> soft.shape, bool((hard.sum(-1) == 1).all())
        (torch.Size([32, 5, 3]), True)
    """

    api = 1
    name = "gumbel-crf"
    summary = "the chain with exact hard samples: backward sampling, each draw relaxed"
    references = ("arXiv:2011.14244, algorithm 2",)
    Options = GumbelCrfOptions
    capabilities = replace(StateChain.capabilities, exact_rounding=True)

    @classmethod
    def examples(cls) -> list[GumbelCrf]:
        return [cls(length=4, states=2), cls(length=3, states=3)]

    def draw(
        self,
        params: Tensor,
        temperature: float | Tensor,
        shape: torch.Size = torch.Size(),
        generator: Generator = None,
    ) -> tuple[Tensor, Tensor]:
        scores = params.to(compute_dtype(params.dtype))
        unary, pair = self.split(scores).values()
        gumbel = noise.gumbel(
            shape + unary.shape, dtype=scores.dtype, device=scores.device, generator=generator
        )

        def relaxed(position: int, scores: Tensor) -> tuple[Tensor, Tensor]:
            perturbed = scores + gumbel[..., position, :]
            low = perturbed - perturbed.amax(-1, keepdim=True).detach()
            soft = divide_by_temperature(low, temperature).softmax(-1)
            return soft, perturbed.detach().argmax(-1)

        soft, hard = backward_samples(forward_messages(unary, pair, log_sum), pair, relaxed)
        return soft.to(params.dtype), hard.to(params.dtype)

    def rsample(
        self,
        params: Tensor,
        temperature: float | Tensor,
        shape: torch.Size = torch.Size(),
        generator: Generator = None,
    ) -> Tensor:
        return self.draw(params, temperature, shape, generator)[0]
