"""The oracles of these tests: all values of a small structure by plain loops, and sums over them.

Only :func:`structure` uses the package tested.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import pytest
import torch
from torch import Tensor

import relaxit
from relaxit import Relaxation

INF = torch.inf
LONG = (torch.float32, torch.float64)
dtypes = pytest.mark.parametrize("dtype", LONG)

SETTINGS: tuple[tuple[str, dict[str, object]], ...] = (
    ("chain", {"length": 4, "states": 3}),
    ("chain", {"length": 1, "states": 3}),
    ("chain", {"length": 3, "states": 1}),
    ("chain", {"length": 3, "states": 2, "noise": "all"}),
    ("gumbel-crf", {"length": 3, "states": 3}),
    ("segmentation", {"length": 4, "labels": 2, "longest": 3}),
    ("segmentation", {"length": 5, "labels": 1, "longest": 5}),
    ("segmentation", {"length": 1, "labels": 2, "longest": 1}),
    ("alignment", {"rows": 3, "columns": 4}),
    ("alignment", {"rows": 1, "columns": 3}),
    ("alignment", {"rows": 4, "columns": 2}),
    ("alignment", {"rows": 3, "columns": 5, "moves": "attention"}),
    ("alignment", {"rows": 1, "columns": 1, "moves": "attention"}),
    ("projective-tree", {"nodes": 1}),
    ("projective-tree", {"nodes": 3}),
    ("projective-tree", {"nodes": 5}),
)


def structure(name: str, options: dict[str, object]) -> Relaxation:
    return relaxit.get(name, **options)


ALL = pytest.mark.parametrize("relaxation", [structure(*s) for s in SETTINGS], ids=repr)
# One of each, of more than one value.
SOME = pytest.mark.parametrize(
    "relaxation", [structure(*SETTINGS[i]) for i in (0, 4, 5, 8, 11, 14)], ids=repr
)
PERTURBED = pytest.mark.parametrize(
    "relaxation", [structure(*s) for s in SETTINGS if s[0] != "gumbel-crf"], ids=repr
)


def seed(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def normal(*shape: int, number: int = 7, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=seed(number), dtype=torch.float64).to(dtype)


def close(got: Tensor, wanted: Tensor, within: float = 1e-12) -> None:
    """Assert that numbers agree, relative where they are large."""
    assert got.shape == wanted.shape
    torch.testing.assert_close(got.double(), wanted.double(), rtol=within, atol=within)


# --- values, one after the other ------------------------------------------------------------------

Listed = Iterator[tuple[Tensor, Tensor]]


def states(length: int, states: int, **_: object) -> Listed:
    for sequence in itertools.product(range(states), repeat=length):
        value = torch.zeros(length, states)
        pair = torch.zeros(length - 1, states, states)
        for position, state in enumerate(sequence):
            value[position, state] = 1
        for position, (one, other) in enumerate(itertools.pairwise(sequence)):
            pair[position, one, other] = 1
        yield value, torch.cat([value.flatten(), pair.flatten()])


def cuts(length: int, longest: int) -> Iterator[list[int]]:
    """Lengths of segments that cover a sequence."""
    if not length:
        yield []
    for first in range(1, min(longest, length) + 1):
        for rest in cuts(length - first, longest):
            yield [first, *rest]


def segments(length: int, labels: int, longest: int) -> Listed:
    for lengths in cuts(length, longest):
        for named in itertools.product(range(labels), repeat=len(lengths)):
            value = torch.zeros(length, longest, labels)
            pair = torch.zeros(length - 1, labels, labels)
            begin = 0
            for i, (size, label) in enumerate(zip(lengths, named, strict=True)):
                value[begin, size - 1, label] = 1
                if i:
                    pair[begin - 1, named[i - 1], label] = 1
                begin += size
            yield value, torch.cat([value.flatten(), pair.flatten()])


def paths(rows: int, columns: int, moves: str = "warping") -> Listed:
    steps = {"warping": [(0, 1), (1, 0), (1, 1)], "attention": [(0, 1), (1, 1)]}[moves]

    def onwards(i: int, j: int) -> Iterator[list[tuple[int, int]]]:
        if (i, j) == (rows - 1, columns - 1):
            yield [(i, j)]
        for down, right in steps:
            if i + down < rows and j + right < columns:
                for rest in onwards(i + down, j + right):
                    yield [(i, j), *rest]

    for path in onwards(0, 0):
        value = torch.zeros(rows, columns)
        for place in path:
            value[place] = 1
        yield value, value.flatten()


def projective(heads: tuple[int, ...]) -> bool:
    """Whether heads, one's own for the root, make a tree with one root and no crossing arcs."""
    if sum(head == word for word, head in enumerate(heads)) != 1:
        return False
    for word in range(len(heads)):
        for _ in heads:
            word = heads[word]
        if heads[word] != word:  # it runs in a circle
            return False
    arcs = [
        sorted((-1 if h == w else h, w)) for w, h in enumerate(heads)
    ]  # the root's from outside
    return not any(a < c < b < d for (a, b), (c, d) in itertools.permutations(arcs, 2))


def trees(nodes: int) -> Listed:
    for heads in itertools.product(range(nodes), repeat=nodes):
        if projective(heads):
            value = torch.zeros(nodes, nodes)
            for word, head in enumerate(heads):
                value[head, word] = 1
            yield value, value.flatten()


# --- sums over them -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Listing:
    """All values ``[N, *event]`` and what params multiply, ``[N, size]``."""

    values: Tensor
    statistics: Tensor
    rank: int  # of params

    def scores(self, params: Tensor) -> Tensor:  # [*batch, *param_shape] -> [*batch, N]
        flat = params.double().flatten(params.dim() - self.rank)
        return torch.where(self.statistics.bool(), flat.unsqueeze(-2), 0.0).sum(-1)

    def log_masses(self, params: Tensor) -> Tensor:
        return self.scores(params).log_softmax(-1)

    def log_partition(self, params: Tensor) -> Tensor:
        return self.scores(params).logsumexp(-1)

    def mean(self, params: Tensor) -> Tensor:
        return torch.tensordot(self.log_masses(params).exp(), self.values, 1)

    def entropy(self, params: Tensor) -> Tensor:
        return torch.special.entr(self.log_masses(params).exp()).sum(-1)

    def kl(self, params: Tensor, other: Tensor) -> Tensor:
        p, log_q = self.log_masses(params).exp(), self.log_masses(other)
        return torch.where(p > 0, torch.xlogy(p, p) - p * log_q, 0.0).sum(-1)

    def mean_score(self, params: Tensor, other: Tensor) -> Tensor:
        """Mean of the scores by other params, ``[*batch]``."""
        return (self.log_masses(params).exp() * self.scores(other)).sum(-1)

    def index_of(self, values: Tensor) -> Tensor:
        """Index of each value ``[..., *event]``; fails if there is one that is not listed."""
        rank = self.values.dim() - 1
        same = (values.unsqueeze(-1 - rank) == self.values).flatten(-rank).all(-1)
        assert bool((same.sum(-1) == 1).all())
        return same.double().argmax(-1)

    def masked(self, params: Tensor, number: int) -> Tensor:
        """Params with about half of the entries -inf, that leave a value in each row."""
        g, size = seed(number), self.statistics.shape[1]
        rows = params.numel() // size
        kept = torch.rand(rows, size, generator=g) < 0.5
        chosen = torch.randint(len(self.values), (rows,), generator=g)
        kept |= self.statistics[chosen].bool()
        return params.masked_fill(~kept.reshape(params.shape), -INF)


LOOPS = {
    "chain": states,
    "gumbel-crf": states,
    "segmentation": segments,
    "alignment": paths,
    "projective-tree": trees,
}


@cache
def listing(relaxation: Relaxation) -> Listing:
    options = relaxation.options.model_dump()
    values, statistics = zip(*LOOPS[relaxation.name](**options), strict=True)
    rank = 2 if relaxation.name in ("alignment", "projective-tree") else 1
    return Listing(torch.stack(values).double(), torch.stack(statistics).double(), rank)
