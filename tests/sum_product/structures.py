"""Small structures that are given by their log-partition function, and all their values."""

from __future__ import annotations

import itertools

import torch

from relaxit.sum_product import SumProduct


class Choice(SumProduct):
    """One of four: the sum over a single dimension."""

    api, name = 1, "test-choice"
    param_shape = event_shape = torch.Size([4])

    def log_partition(self, scores, plus):
        return plus(scores, -1)


class Coin(SumProduct):
    """Zero or one, without dimensions."""

    api, name = 1, "test-coin"
    param_shape = event_shape = torch.Size([])

    def log_partition(self, scores, plus):
        return plus(torch.stack([torch.zeros_like(scores), scores]), 0)


class Run(SumProduct):
    """Consecutive ones among four, or none."""

    api, name = 1, "test-run"
    param_shape = event_shape = torch.Size([4])

    def log_partition(self, scores, plus):
        before = torch.zeros_like(scores[..., 0])
        inside = after = before - torch.inf
        for score in scores.unbind(-1):
            after = plus(torch.stack([inside, after]), 0)
            inside = score + plus(torch.stack([before, inside]), 0)
        return plus(torch.stack([before, inside, after]), 0)


class Bits(SumProduct):
    """Three bits, with scores of neighbours that are both one: params have other shapes."""

    api, name = 1, "test-bits"
    event_shape = torch.Size([3])
    parts = {"one": torch.Size([3]), "both": torch.Size([2])}
    param_shape = torch.Size([5])

    def log_partition(self, scores, plus):
        one, both = self.split(scores).values()
        zero = torch.zeros_like(one[..., 0])
        last = torch.stack([zero, one[..., 0]])  # by the last bit
        for i in (1, 2):
            with_one = torch.stack([last[0], last[1] + both[..., i - 1]])
            last = torch.stack([plus(last, 0), one[..., i] + plus(with_one, 0)])
        return plus(last, 0)

    def statistics(self, value):
        return self.join(one=value, both=value[..., 1:] * value[..., :-1])

    def from_statistics(self, statistics):
        return self.split(statistics)["one"]


class Twice(SumProduct):
    """A score that is counted twice, so that a statistic is two: outside of the contract."""

    api, name = 1, "test-twice"
    param_shape = event_shape = torch.Size([3])

    def log_partition(self, scores, plus):
        return plus(2 * scores, -1)


STRUCTURES = (Choice(), Coin(), Run(), Bits())


def values_of(relaxation):
    """All values, one after the other, as the docstrings say."""
    if isinstance(relaxation, Choice):
        return torch.eye(4, dtype=torch.float64)
    if isinstance(relaxation, Coin):
        return torch.tensor([0.0, 1.0], dtype=torch.float64)
    if isinstance(relaxation, Run):
        runs = {(0.0,) * 4}
        for begin, end in itertools.combinations(range(5), 2):
            runs.add(tuple(float(begin <= i < end) for i in range(4)))
        return torch.tensor(sorted(runs), dtype=torch.float64)
    bits = list(itertools.product([0.0, 1.0], repeat=3))
    return torch.tensor(bits, dtype=torch.float64)


def statistics_of(relaxation):
    """What params multiply, ``[N, *param_shape]``."""
    values = values_of(relaxation)
    if isinstance(relaxation, Bits):
        return torch.tensor([[a, b, c, a * b, b * c] for a, b, c in values.tolist()]).double()
    return values


def scores_of(relaxation, params):
    """Score of each value, ``[*batch, N]``; what is not used is not counted."""
    statistics, rank = statistics_of(relaxation), len(relaxation.param_shape)
    used = torch.where(statistics.bool(), params.double().unsqueeze(-1 - rank), 0.0)
    return used.flatten(-rank).sum(-1) if rank else used


def params_for(relaxation, *batch, masked=False, dtype=torch.float64, number=7, scale=1.0):
    """Random params; if masked, about half are excluded, but not all that a value uses."""
    g = torch.Generator().manual_seed(number)
    shape = (*batch, *relaxation.param_shape)
    params = scale * torch.randn(shape, generator=g, dtype=torch.float64)
    if masked:
        kept = torch.rand(shape, generator=g) < 0.5
        listed = statistics_of(relaxation).bool()
        kept |= listed[torch.randint(len(listed), batch, generator=g)]
        params = params.masked_fill(~kept, -torch.inf)
    return params.to(dtype)


def mean_by_enumeration(relaxation, params):
    return torch.tensordot(scores_of(relaxation, params).softmax(-1), values_of(relaxation), 1)
