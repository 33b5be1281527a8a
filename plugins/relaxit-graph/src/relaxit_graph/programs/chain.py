"""A chain of states: linear-chain conditional random field, hidden Markov model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions.constraints import Constraint, independent

from relaxit import Options, SumProduct, constraints, noise
from relaxit.aliases import Generator
from relaxit.parts import size_of
from relaxit.sum_product import Sum, SumProductDistribution, log_sum
from relaxit_graph.programs.messages import backward_samples, forward_messages
from relaxit_graph.programs.padding import as_lengths

__all__ = ["Chain", "ChainDistribution", "ChainOptions"]


class ChainOptions(Options):
    """Options of :class:`Chain`."""

    length: int = Field(ge=1, description="number of positions")
    states: int = Field(ge=1, description="number of states")
    noise: Literal["unary", "all"] = Field(
        "unary", description="scores that get noise: those of states, or those of pairs as well"
    )


class Chain(SumProduct):
    """One of S states at each of T positions, with scores of neighbouring states.

    Params have two parts: ``unary`` ``[*, T, S]``, and ``pair`` ``[*, T - 1, S, S]``, in which entry
    (t, i, j) scores state i at position t before state j. Join them by :meth:`join`; a table
    ``[S, S]`` that all positions and rows share broadcasts. Values are one-hot ``[*, T, S]``.

    All quantities are exact: marginals by the forward-backward algorithm, the mode and ``argmax`` by
    Viterbi's, samples by forward filtering and backward sampling. A relaxed sample is the matrix of
    marginals at ``(params + noise) / temperature``. With ``noise=unary`` there is one Gumbel number
    per state and position (perturb and MAP); its hard sample follows another distribution than
    ``discrete``, see :class:`relaxit_graph.GumbelCrf` for one that does not.

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
    support = independent(constraints.simplex, 1)
    vertices = independent(constraints.one_hot, 1)

    @property
    def event_shape(self) -> torch.Size:
        return torch.Size((self.options.length, self.options.states))

    @property
    def parts(self) -> Mapping[str, torch.Size]:
        length, states = self.event_shape
        return {"unary": self.event_shape, "pair": torch.Size((length - 1, states, states))}

    @property
    def param_shape(self) -> torch.Size:
        return size_of(self.parts)

    @classmethod
    def examples(cls) -> list[Chain]:
        return [cls(length=4, states=2), cls(length=3, states=3, noise="all")]

    def log_partition(self, scores: Tensor, plus: Sum) -> Tensor:
        return plus(forward_messages(*self.split(scores).values(), plus)[-1], -1)

    def statistics(self, value: Tensor) -> Tensor:
        return self.join(unary=value, pair=value[..., :-1, :, None] * value[..., 1:, None, :])

    def from_statistics(self, statistics: Tensor) -> Tensor:
        return self.split(statistics)["unary"]

    def hard(self, soft: Tensor) -> Tensor:
        states = torch.arange(soft.shape[-1], device=soft.device)
        return (soft.detach().argmax(-1, keepdim=True) == states).to(soft.dtype)

    def discrete(self, params: Tensor) -> ChainDistribution:
        return ChainDistribution(self, params)

    @property
    def noise_shape(self) -> torch.Size:
        unary = self.options.noise == "unary"
        return self.event_shape if unary else self.param_shape

    def add_noise(self, params: Tensor, noise: Tensor) -> Tensor:
        if self.options.noise == "all":
            return params + noise
        unary, pair = self.split(params).values()
        return self.join(unary=unary + noise, pair=pair)

    def pad(self, params: Tensor, lengths: Tensor) -> Tensor:
        """Return params of chains of different lengths, ``[*batch, *param_shape]``.

        Positions from ``lengths`` on are in state 0, at score 0. Divergences from the uniform
        distribution of the same lengths are those from
        ``chain.discrete(chain.pad(torch.zeros_like(params), lengths))``.

        Args:
            params: params ``[*batch, *param_shape]``.
            lengths: number of positions of each row, integers ``[*batch]`` from 1 to T.

        Raises:
            DomainError: if a length is out of range.
            ShapeError: if lengths do not fit the batch.

        Example:
            >>> import torch, relaxit
            >>> chain = relaxit.get("chain", length=3, states=2)
            >>> padded = chain.pad(torch.zeros(2, *chain.param_shape), torch.tensor([3, 2]))
            >>> chain.discrete(padded).entropy() / torch.tensor(2.0).log()
            tensor([3., 2.])
        """
        unary, pair = self.split(params).values()
        length, states = self.event_shape
        given = as_lengths(self.name, lengths, unary.shape[:-2], length).unsqueeze(-1)
        absent = torch.arange(length, device=params.device) >= given.to(params.device)
        only = unary.new_full((states,), -torch.inf).index_fill(
            0, torch.zeros(1, dtype=torch.long, device=params.device), 0.0
        )
        return self.join(
            unary=torch.where(absent[..., None], only, unary),
            pair=pair.masked_fill(absent[..., 1:, None, None], 0.0),
        )


class ChainDistribution(SumProductDistribution):
    """The exact distribution of a chain. Samples need one random number per state and position."""

    def _sample(self, shape: torch.Size, generator: Generator = None) -> Tensor:
        weights = self.weights.expand(shape + self.weights.shape)
        unary, pair = self.relaxation.split(weights).values()
        gumbel = noise.gumbel(
            unary.shape, dtype=unary.dtype, device=unary.device, generator=generator
        )

        def draw(position: int, scores: Tensor) -> tuple[Tensor, Tensor]:
            return scores, (scores + gumbel[..., position, :]).argmax(-1)

        return backward_samples(forward_messages(unary, pair, log_sum), pair, draw)[1]
