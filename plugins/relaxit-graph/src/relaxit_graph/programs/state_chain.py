"""What structures with one state per position share: shapes, scores, the exact distribution."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.distributions.constraints import Constraint, independent

from relaxit import constraints, noise
from relaxit.aliases import Generator
from relaxit.parts import size_of
from relaxit.sum_product import ExponentialFamily, Sum, SumProductDistribution, log_sum
from relaxit_graph.programs.messages import backward_samples, forward_messages
from relaxit_graph.programs.padding import as_lengths, only_first

__all__ = ["ChainDistribution", "StateChain"]


class StateChain(ExponentialFamily):
    """One of S states at each of T positions, with options ``length`` and ``states``.

    Params have two parts: ``unary`` ``[*, T, S]``, and ``pair`` ``[*, T - 1, S, S]``, in which
    entry (t, i, j) scores state i at position t before state j. Values are one-hot ``[*, T, S]``.
    """

    support = independent(constraints.simplex, 1)

    @property
    def vertices(self) -> Constraint:
        return constraints.vertices_by(self.hard, 2)  # torch's independent fails for empty batches

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

    def log_partition(self, scores: Tensor, plus: Sum) -> Tensor:
        unary, pair = self.split(scores).values()
        return plus(forward_messages(unary, pair, plus)[-1], -1)

    def statistics(self, value: Tensor) -> Tensor:
        return self.join(unary=value, pair=value[..., :-1, :, None] * value[..., 1:, None, :])

    def from_statistics(self, statistics: Tensor) -> Tensor:
        return self.split(statistics)["unary"]

    def hard(self, soft: Tensor) -> Tensor:
        states = torch.arange(soft.shape[-1], device=soft.device)
        return (soft.detach().argmax(-1, keepdim=True) == states).to(soft.dtype)

    def discrete(self, params: Tensor) -> ChainDistribution:
        return ChainDistribution(self, params)

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
        return self.join(
            unary=torch.where(absent[..., None], only_first(unary, states), unary),
            pair=pair.masked_fill(absent[..., 1:, None, None], 0.0),
        )


class ChainDistribution(SumProductDistribution):
    """The exact distribution of a chain. Samples need one random number per state and position."""

    def _sample(self, shape: torch.Size, generator: Generator = None) -> Tensor:
        unary, pair = self.relaxation.split(self.weights).values()
        gumbel = noise.gumbel(
            shape + unary.shape, dtype=unary.dtype, device=unary.device, generator=generator
        )

        def draw(position: int, scores: Tensor) -> tuple[Tensor, Tensor]:
            perturbed = scores + gumbel[..., position, :]
            return perturbed, perturbed.argmax(-1)

        return backward_samples(forward_messages(unary, pair, log_sum), pair, draw)[1]
