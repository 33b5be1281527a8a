"""The network that scores items for ranks, equivariant to the order of the items."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

__all__ = ["HEADS", "Scorer"]

HEADS = 4
"""Number of heads of an attention layer; the width must be a multiple of it."""


class Scorer(nn.Module):
    """Network from the features of items to their scores for ranks.

    Without context layers a perceptron scores each item separately. Context layers, between the
    hidden layers of the perceptron and its last layer, are self-attention without positions: every
    item sees the others, but not their order.

    Args:
        features: number F of features of an item.
        hidden: widths of the hidden layers.
        param_shape: ``[n, n]``, scores of n items for n ranks; or ``[n]``, one score per item.
        context: number of self-attention layers, with the width of the last hidden layer.

    Example:
        >>> network = Scorer(1, (32,), torch.Size((5, 5)))
        >>> network(torch.rand(10, 5, 1)).shape
        torch.Size([10, 5, 5])

    References: per item, arXiv:1802.08665, section 5; self-attention on sets without positions,
    Lee et al., "Set Transformer", arXiv:1810.00825.
    """

    def __init__(
        self, features: int, hidden: Sequence[int], param_shape: torch.Size, context: int = 0
    ) -> None:
        super().__init__()
        self.param_shape = param_shape
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise((features, *hidden)):
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
        width = hidden[-1] if hidden else features
        layers += [_attention(width) for _ in range(context)]
        layers.append(nn.Linear(width, *(param_shape[1:] or (1,))))
        self.network = nn.Sequential(*layers)

    def forward(self, items: Tensor) -> Tensor:
        """Map items ``[B, n, F]`` to params ``[B, *param_shape]``; rows are ranks."""
        scores: Tensor = self.network(items)
        return scores.transpose(-1, -2).reshape(len(items), *self.param_shape)


def _attention(width: int) -> nn.Module:
    return nn.TransformerEncoderLayer(
        width, HEADS, 2 * width, dropout=0.0, batch_first=True, norm_first=True
    )
