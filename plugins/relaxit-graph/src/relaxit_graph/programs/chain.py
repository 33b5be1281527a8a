"""A chain of states: linear-chain conditional random field, hidden Markov model."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from relaxit import Options, SumProduct
from relaxit_graph.programs.state_chain import StateChain

__all__ = ["Chain", "ChainOptions"]


class ChainOptions(Options):
    """Options of :class:`Chain`."""

    length: int = Field(ge=1, description="number of positions")
    states: int = Field(ge=1, description="number of states")
    noise: Literal["unary", "all"] = Field(
        "unary", description="scores that get noise: those of states, or those of pairs as well"
    )


class Chain(StateChain, SumProduct):
    """One of S states at each of T positions, with scores of neighbouring states.

    Params have two parts: ``unary`` ``[*, T, S]``, and ``pair`` ``[*, T - 1, S, S]``, in which
    entry (t, i, j) scores state i at position t before state j. Join them by :meth:`join`; a table
    ``[S, S]`` that all positions and rows share broadcasts. Values are one-hot ``[*, T, S]``.

    All quantities are exact: marginals by the forward-backward algorithm, the mode and ``argmax``
    by Viterbi's, samples by forward filtering and backward sampling. A relaxed sample is the matrix
    of marginals at ``(params + noise) / temperature``. With ``noise=unary`` there is one Gumbel
    number per state and position (perturb and MAP); its hard sample follows another distribution
    than ``discrete``. In :class:`relaxit_graph.GumbelCrf` it follows the same.

    References: Lafferty, McCallum, Pereira, "Conditional Random Fields", ICML 2001; Paulus et al.,
    arXiv:2006.08063 (relaxation); Papandreou, Yuille, "Perturb-and-MAP Random Fields", ICCV 2011.

    Example:
        >>> import torch, relaxit
        >>> chain = relaxit.get("chain", length=5, states=3)
        >>> unary, table = torch.randn(32, 5, 3), torch.zeros(3, 3)
        >>> q = chain(chain.join(unary=unary, pair=table), temperature=0.5)
        >>> q.rsample().shape, q.discrete.entropy().shape
        (torch.Size([32, 5, 3]), torch.Size([32]))
        >>> torch.allclose(q.discrete.mean, unary.softmax(-1), atol=1e-6)
        True
    """

    api = 1
    name = "chain"
    aliases = ("linear-chain", "crf", "hmm")
    summary = "a state at each position, with scores of neighbouring states (linear-chain CRF)"
    references = ("arXiv:2006.08063, section 3",)
    Options = ChainOptions

    @classmethod
    def examples(cls) -> list[Chain]:
        return [cls(length=4, states=2), cls(length=3, states=3, noise="all")]

    @property
    def noise_shape(self) -> torch.Size:
        unary = self.options.noise == "unary"
        return self.event_shape if unary else self.param_shape

    def add_noise(self, params: Tensor, noise: Tensor) -> Tensor:
        if self.options.noise == "all":
            return params + noise
        unary, pair = self.split(params).values()
        return self.join(unary=unary + noise, pair=pair)
