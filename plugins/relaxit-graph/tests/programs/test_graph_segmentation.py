"""Segmentations: what their parts mean, and what they are without choices of length or label."""

from __future__ import annotations

import pytest
import torch
from sequence_oracles import close, normal

import relaxit


def test_parts():
    cuts = relaxit.get("segmentation", length=5, labels=2, longest=3)
    assert dict(cuts.parts) == {"segment": (5, 3, 2), "pair": (4, 2, 2)}
    assert cuts.param_shape == (5 * 3 * 2 + 4 * 4,)


def test_segments_of_one_position_are_a_chain():
    cuts = relaxit.get("segmentation", length=6, labels=3, longest=1)
    chain = relaxit.get("chain", length=6, states=3)
    params = normal(4, *chain.param_shape)  # the same parts
    one, other = cuts.discrete(params), chain.discrete(params)
    close(one.mean.squeeze(-2), other.mean)
    close(one.entropy(), other.entropy())
    assert torch.equal(one.mode.squeeze(-2), other.mode)


def test_a_score_per_cut_gives_independent_cuts():
    """With one label and segments of any length, each of the T - 1 gaps is a coin of its own."""
    length = 7
    cuts = relaxit.get("segmentation", length=length, labels=1, longest=length)
    gaps = normal(3, length - 1)
    zeros = torch.zeros(length, length, 1, dtype=torch.float64)
    q = cuts.discrete(cuts.join(segment=zeros, pair=gaps[..., None, None]))
    close(q.mean.sum((-2, -1))[:, 1:], gaps.sigmoid())  # where segments begin
    close(q.log_partition(), torch.nn.functional.softplus(gaps).sum(-1))


def test_pairs_of_labels_are_read_from_rows_to_columns():
    """Label i ends at position t, label j begins at the next one."""
    cuts = relaxit.get("segmentation", length=4, labels=2, longest=4)
    segment = torch.full((4, 4, 2), -5.0)
    segment[0, 1] = segment[2, 1] = 0.0  # two and two positions
    pair = torch.zeros(3, 2, 2)
    pair[1, 0, 1] = 2.0
    q = cuts.discrete(cuts.join(segment=segment, pair=pair))
    assert q.mode.nonzero().tolist() == [[0, 1, 0], [2, 1, 1]]


@pytest.mark.parametrize(("length", "labels", "longest"), [(9, 1, 4), (12, 3, 5)])
def test_scores_by_length_alone(length, labels, longest):
    """The sum over all cuts is a coefficient of 1 / (1 - the sum of x^k exp(score of k))."""
    cuts = relaxit.get("segmentation", length=length, labels=labels, longest=longest)
    score = normal(longest)
    segment = score.unsqueeze(-1).expand(length, longest, labels)
    q = cuts.discrete(cuts.join(segment=segment, pair=torch.zeros(()).double()))
    total = [1.0]
    for n in range(1, length + 1):
        lasting = range(1, min(n, longest) + 1)
        total.append(sum(labels * float(score[k - 1].exp()) * total[n - k] for k in lasting))
    close(q.log_partition(), torch.tensor(total[-1], dtype=torch.float64).log())


def test_segments_beyond_the_end_are_not_read():
    cuts = relaxit.get("segmentation", length=3, labels=2, longest=3)
    params = normal(2, *cuts.param_shape)
    parts = cuts.split(params)
    segment = parts["segment"].clone()
    segment[:, 1, 2] = segment[:, 2, 1:] = 1e6
    q = cuts.discrete(cuts.join(segment=segment, pair=parts["pair"]))
    close(q.mean, cuts.discrete(params).mean)
    value = q.sample()
    assert not bool(value[:, 1, 2].any() | value[:, 2, 1:].any())
