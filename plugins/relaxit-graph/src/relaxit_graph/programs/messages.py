"""Messages along a chain, and states drawn backwards from them.

A message gives, for each state of a position, the log of the sum over all earlier states of the
exponential of their score: forward filtering. From the last position on, each state is then drawn
given the next one: backward sampling.

Reference: Fruehwirth-Schnatter, "Data Augmentation and Dynamic Linear Models", Journal of Time
Series Analysis 15 (1994), for continuous states; Scott, JASA 97 (2002), section 2.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from relaxit.sum_product import Sum

__all__ = ["backward_samples", "forward_messages"]


def forward_messages(unary: Tensor, pair: Tensor, plus: Sum) -> list[Tensor]:
    """Return the message of each position, ``[..., S]``, its own score included.

    Args:
        unary: scores of states ``[..., T, S]``.
        pair: scores of a state and the next one ``[..., T - 1, S, S]``.
        plus: sum over the states of the position before.
    """
    own = unary.unbind(-2)
    messages = [own[0]]
    for score, step in zip(own[1:], pair.unbind(-3), strict=True):
        messages.append(score + plus(messages[-1].unsqueeze(-1) + step, -2))
    return messages


def backward_samples(
    messages: list[Tensor], pair: Tensor, draw: Callable[[int, Tensor], tuple[Tensor, Tensor]]
) -> tuple[Tensor, Tensor]:
    """Draw states from the last position to the first, each given the next one.

    Args:
        messages: messages of the positions.
        pair: scores of a state and the next one ``[..., T - 1, S, S]``.
        draw: maps a position and the scores of its states ``[..., S]`` to a relaxed state of the
            same shape and the index of a state, ``[...]``.

    Returns:
        Relaxed states and one-hot states, ``[..., T, S]``.
    """
    last = len(messages) - 1
    states = messages[0].shape[-1]
    soft, index = draw(last, messages[last])
    every = torch.arange(states, device=index.device)
    relaxed, hard = [soft], [index.unsqueeze(-1) == every]
    for position in reversed(range(last)):
        step = pair[..., position, :, :].expand(*index.shape, states, states)
        next_state = index[..., None, None].expand(*index.shape, states, 1)
        scores = messages[position] + step.gather(-1, next_state).squeeze(-1)
        soft, index = draw(position, scores)
        relaxed.append(soft)
        hard.append(index.unsqueeze(-1) == every)
    return torch.stack(relaxed[::-1], -2), torch.stack(hard[::-1], -2)
