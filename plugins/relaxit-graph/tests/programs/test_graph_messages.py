"""Messages are sums over the states before, and states drawn backwards use those after."""

from __future__ import annotations

import itertools

import pytest
import torch
from sequence_oracles import close, normal

from relaxit.sum_product import largest, log_sum
from relaxit_graph.programs.messages import backward_samples, forward_messages


@pytest.mark.parametrize("plus", [log_sum, largest])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_messages_are_sums_over_all_beginnings(plus, batch):
    unary, pair = normal(*batch, 4, 3), normal(*batch, 3, 3, 3, number=1)
    messages = forward_messages(unary, pair, plus)
    assert len(messages) == 4
    for position, state in itertools.product(range(4), range(3)):
        totals = []
        for before in itertools.product(range(3), repeat=position):
            path = (*before, state)
            total = sum(unary[..., t, s] for t, s in enumerate(path))
            steps = enumerate(itertools.pairwise(path))
            totals.append(total + sum(pair[..., t, i, j] for t, (i, j) in steps))
        close(messages[position][..., state], plus(torch.stack(totals), 0))


def test_states_are_drawn_from_the_last_position_given_the_next_state():
    messages, pair = list(normal(3, 2)), normal(2, 2, 2, number=1)
    seen = []

    def draw(position, scores):
        seen.append((position, scores))
        return scores.softmax(-1), torch.tensor(position % 2)  # states 0, 1, 0

    soft, hard = backward_samples(messages, pair, draw)
    assert [position for position, _ in seen] == [2, 1, 0]
    assert hard.tolist() == [[True, False], [False, True], [True, False]]
    wanted = [messages[2], messages[1] + pair[1, :, 0], messages[0] + pair[0, :, 1]]
    for (_, got), scores in zip(seen, wanted, strict=True):
        assert torch.equal(got, scores)
    close(soft, torch.stack(wanted[::-1]).softmax(-1))
