"""The networks: an encoder of trajectories to scores of pairs, and a decoder along edges."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Decoder", "Encoder", "InteractionModel"]


class Encoder(nn.Module):
    """Map trajectories to a score for each pair of nodes.

    For each frame, products of linear functions of two nodes and of their changes are the features
    of the pair: a product of a change and a difference tells whether one drives the other. One
    round of message passing follows, in which a node receives the features of its pairs and a pair
    those of its two nodes, which tells what other pairs explain. The score is a function of the
    mean over time.

    Args:
        features: features of a node in a frame, F.
        hidden: hidden units.
    """

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.first = nn.Linear(2 * features, 2 * hidden)
        self.second = nn.Linear(2 * features, 2 * hidden, bias=False)
        self.pair = nn.Sequential(nn.Linear(hidden, hidden), nn.SiLU())
        self.node = nn.Sequential(nn.Linear(hidden, hidden), nn.SiLU())
        self.own = nn.Linear(hidden, hidden)
        self.ends = nn.Linear(hidden, 2 * hidden, bias=False)
        self.frame = nn.Sequential(nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU())
        self.score = nn.Sequential(nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, 1))

    def forward(self, states: Tensor, changes: Tensor) -> Tensor:
        """Return symmetric scores ``[B, N, N]``.

        Args:
            states: standardised states ``[B, T, N, F]``.
            changes: standardised changes to the next frame, of the same shape.
        """
        seen = torch.cat([states, changes], -1)
        both = self.first(seen).unsqueeze(-3) + self.second(seen).unsqueeze(-2)
        one, other = both.chunk(2, -1)  # [B, T, N, N, H]
        pairs = self.pair(one * other)
        first, second = self.ends(self.node(pairs.mean(-2))).chunk(2, -1)  # [B, T, N, H]
        pairs = self.frame(self.own(pairs) + first.unsqueeze(-3) + second.unsqueeze(-2))
        scores = self.score(pairs.mean(1)).squeeze(-1)
        return (scores + scores.mT) / 2


class Decoder(nn.Module):
    """Predict the next frame from the current one, by messages along the edges of a graph.

    A message depends on the difference of the states of two nodes. Where there is no edge there is
    no message, so that an edge means an interaction, and not the reverse.

    Args:
        features: features of a node in a frame, F.
        hidden: hidden units.
    """

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.message = nn.Sequential(
            nn.Linear(features, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU()
        )
        self.update = nn.Sequential(
            nn.Linear(features + hidden, hidden), nn.SiLU(), nn.Linear(hidden, features)
        )
        self.linear = nn.Linear(features + hidden, features)

    def forward(self, states: Tensor, adjacency: Tensor) -> Tensor:
        """Return standardised changes to the next frame, ``[..., T, N, F]``.

        Args:
            states: standardised states ``[..., T, N, F]``.
            adjacency: weights ``[..., N, N]`` of the edges; its leading dimensions broadcast.
        """
        messages = self.message(states.unsqueeze(-3) - states.unsqueeze(-2))  # [..., T, N, N, H]
        received = torch.einsum("...ij,...tijh->...tih", adjacency, messages)
        seen = torch.cat([states.expand(*received.shape[:-1], -1), received], -1)
        change: Tensor = self.linear(seen) + self.update(seen)
        return change


class InteractionModel(nn.Module):
    """Encoder and decoder, and the scales of states and changes.

    Args:
        features: features of a node in a frame, F.
        hidden: hidden units of all networks.
    """

    mean: Tensor
    scale: Tensor
    change: Tensor

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.encoder = Encoder(features, hidden)
        self.decoder = Decoder(features, hidden)
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.register_buffer("change", torch.ones(features))

    def fit_scales(self, inputs: Tensor) -> None:
        """Set the scales to those of training examples ``[S, T, N, F]``.

        They are the mean and the standard deviation of states, and the root mean square of changes
        from frame to frame; a feature that never changes has the scale 1.
        """
        states = inputs.flatten(0, -2)
        rms = (inputs[:, 1:] - inputs[:, :-1]).square().flatten(0, -2).mean(0).sqrt()
        self.mean.copy_(states.mean(0))
        for buffer, found in ((self.scale, states.std(0)), (self.change, rms)):
            buffer.copy_(torch.where(found > 0, found, 1.0))

    def scores(self, inputs: Tensor) -> Tensor:
        """Return symmetric scores ``[B, N, N]`` of the pairs of trajectories ``[B, T, N, F]``."""
        changes = (inputs[:, 1:] - inputs[:, :-1]) / self.change
        found: Tensor = self.encoder((inputs[:, :-1] - self.mean) / self.scale, changes)
        return found

    def predict(self, states: Tensor, adjacency: Tensor) -> Tensor:
        """Return the next states ``[..., T, N, F]``.

        Args:
            states: states ``[..., T, N, F]``.
            adjacency: weights ``[..., N, N]`` of the edges; its leading dimensions broadcast.
        """
        changes = self.decoder((states - self.mean) / self.scale, adjacency)
        return states + self.change * changes

    def errors(self, inputs: Tensor, adjacency: Tensor, horizon: int) -> Tensor:
        """Return squared errors ``[..., B]`` of predictions, summed over frames, nodes, features.

        Errors are in units of the typical change of a feature. Predictions start from every frame
        and proceed by ``horizon`` frames; the sum is divided by ``horizon``.

        Args:
            inputs: trajectories ``[B, T, N, F]``.
            adjacency: weights ``[..., B, N, N]`` of the edges.
            horizon: frames that are predicted from each frame, less than T.
        """
        starts = inputs.shape[1] - horizon
        states, total = inputs[:, :starts], inputs.new_zeros(())
        for ahead in range(1, horizon + 1):
            states = self.predict(states, adjacency)
            error = (states - inputs[:, ahead : ahead + starts]) / self.change
            total = total + error.square().sum((-1, -2, -3))
        return total / horizon
