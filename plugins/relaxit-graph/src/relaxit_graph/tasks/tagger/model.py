"""The model of the tagger: scores of tags from neighbouring tokens, and tokens from tags."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

__all__ = ["CrfAutoencoder"]


class CrfAutoencoder(nn.Module):
    """Scores of a token's tag from its two neighbours, and log-probabilities of a token given it.

    The token itself is not seen by the scores, so its tag has to come from the context. Beside a
    sentence there is a token of its own, so the first tag needs no scores of its own.

    Args:
        tokens: number V of different tokens.
        tags: number S of tags.
        width: entries of the embedding of a neighbour.

    Attributes:
        pair: scores ``[S, S]`` of a tag and the next one, the same at all positions.
        emissions: logits ``[S, V]`` of a tag's tokens.

    Example:
        >>> model = CrfAutoencoder(tokens=40, tags=5)
        >>> tokens = torch.zeros(32, 12, dtype=torch.long)
        >>> model.unary(tokens, tokens == 0).shape, model.log_likelihood(tokens).shape
        (torch.Size([32, 12, 5]), torch.Size([32, 12, 5]))
    """

    def __init__(self, tokens: int, tags: int, width: int = 32) -> None:
        super().__init__()
        self.left, self.right = (nn.Embedding(tokens + 1, width) for _ in range(2))
        self.scores = nn.Sequential(nn.Tanh(), nn.Linear(width, tags))
        self.pair = nn.Parameter(torch.zeros(tags, tags))
        self.emissions = nn.Parameter(0.1 * torch.randn(tags, tokens))

    def unary(self, tokens: Tensor, real: Tensor) -> Tensor:
        """Return scores ``[B, T, S]`` of the tags of tokens.

        Args:
            tokens: tokens ``[B, T]``.
            real: whether a position is one of the sentence, ``[B, T]`` bool.
        """
        outside = self.left.num_embeddings - 1
        padded = pad(tokens.masked_fill(~real, outside), (1, 1), value=outside)
        scores: Tensor = self.scores(self.left(padded[:, :-2]) + self.right(padded[:, 2:]))
        return scores

    def log_likelihood(self, tokens: Tensor) -> Tensor:
        """Return log p(token | tag) ``[B, T, S]`` for every tag, for tokens ``[B, T]``."""
        return self.emissions.log_softmax(-1).t()[tokens]
