"""The model of the router: scores of the experts, and their outputs, all computed at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["MixtureOfExperts", "softmax_weights"]

_LOWEST = -30.0  # of a score below the greatest; float32 holds its exponential


class MixtureOfExperts(nn.Module):
    """A router that scores experts for each input, and experts that all see every input.

    Router and experts are perceptrons with one hidden layer and ReLU.

    Args:
        inputs: number D of entries of an input.
        experts: number E of experts.
        outputs: number O of outputs of each expert.
        router_hidden: hidden units of the router.
        expert_hidden: hidden units H of each expert.

    Example:
        >>> model = MixtureOfExperts(4, experts=8, outputs=3)
        >>> x, z = torch.ones(5, 4), torch.eye(8)[:5]
        >>> model.scores(x).shape, model.outputs(x).shape
        (torch.Size([5, 8]), torch.Size([5, 8, 3]))
    """

    def __init__(
        self,
        inputs: int,
        experts: int,
        outputs: int,
        router_hidden: int = 64,
        expert_hidden: int = 32,
    ) -> None:
        super().__init__()
        self.router = nn.Sequential(
            nn.Linear(inputs, router_hidden), nn.ReLU(), nn.Linear(router_hidden, experts)
        )
        self.first = nn.Parameter(_uniform(experts, inputs, expert_hidden))
        self.first_bias = nn.Parameter(torch.zeros(experts, expert_hidden))
        self.last = nn.Parameter(_uniform(experts, expert_hidden, outputs))
        self.last_bias = nn.Parameter(torch.zeros(experts, outputs))

    def scores(self, x: Tensor) -> Tensor:
        """Return a score for each expert ``[B, E]``, for inputs ``[B, D]``."""
        scores: Tensor = self.router(x)
        return scores

    def outputs(self, x: Tensor) -> Tensor:
        """Return the outputs of all experts ``[B, E, O]``, for inputs ``[B, D]``."""
        hidden = torch.einsum("bd,edh->beh", x, self.first) + self.first_bias
        return torch.einsum("beh,eho->beo", hidden.relu(), self.last) + self.last_bias


def softmax_weights(scores: Tensor, z: Tensor) -> Tensor:
    """Return the weights of the experts, ``z * exp(scores)`` divided by its sum.

    For a vertex z it is the softmax of the scores of the chosen experts, and 0 for the others
    (arXiv:1701.06538, equations 3 to 5); if z is all ones, the softmax of all scores.

    Args:
        scores: scores ``[B, E]``.
        z: chosen experts ``[..., B, E]``, which may be soft.

    Example:
        >>> z = torch.tensor([1.0, 1.0, 0.0])
        >>> softmax_weights(torch.tensor([1.0, 1.0, 5.0]), z)
        tensor([0.5000, 0.5000, 0.0000])
    """
    # The floor keeps the sum above 0 where all chosen experts have much lower scores than another.
    below = (scores - scores.amax(-1, keepdim=True).detach()).clamp_min(_LOWEST)
    weighted = z * below.exp()
    return weighted / weighted.sum(-1, keepdim=True)


def _uniform(experts: int, fan_in: int, fan_out: int) -> Tensor:
    """Return weights ``[E, in, out]`` with the bounds of :class:`torch.nn.Linear`."""
    bound = fan_in**-0.5
    return torch.empty(experts, fan_in, fan_out).uniform_(-bound, bound)
