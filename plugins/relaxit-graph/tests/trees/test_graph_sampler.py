"""Samples of trees against the exact probabilities of all trees."""

from __future__ import annotations

import pytest
import torch
from tree_oracles import INF, MASKS, directed, enumerate_trees, even, normal

from relaxit_graph.trees.log_partition import log_partition
from relaxit_graph.trees.sampler import draw_parents

DRAWS = 40_000


def chi_square(x, n, seed):
    """Deviation of the frequencies of trees, in units for which 5 is exceeded once in 3 million.

    Trees that are expected less than 5 times are counted together.
    """
    generator = torch.Generator().manual_seed(seed)
    parents = draw_parents(x, torch.Size([DRAWS]), generator)
    mass = enumerate_trees(x, directed(n)).mass
    places = n ** torch.arange(n)
    codes = {int(c): k for k, c in enumerate((directed(n).argmax(-1) * places).sum(-1))}
    drawn = torch.tensor([codes[int(c)] for c in (parents * places).sum(-1)])
    counts, want = torch.bincount(drawn, minlength=len(mass)).double(), mass * DRAWS
    assert not counts[mass == 0].any()
    rare = want < 5
    counts = torch.cat([counts[~rare], counts[rare].sum().view(1)])
    want = torch.cat([want[~rare], want[rare].sum().view(1)])
    counts, want = counts[want > 0], want[want > 0]
    freedom = len(want) - 1
    if not freedom:
        return 0.0
    statistic = float(((counts - want) ** 2 / want).sum())
    # The cube root of chi-square is nearly normal (Wilson and Hilferty 1931).
    spread = 2 / (9 * freedom)
    return ((statistic / freedom) ** (1 / 3) - 1 + spread) / spread**0.5


# False alarm: 22 statistics, so less than once in 100 000 runs of this file.
@pytest.mark.parametrize("scale", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("n", [3, 4, 5])
def test_frequencies_are_those_of_all_trees(n, scale):
    x = scale * normal(n, n, number=n)
    assert chi_square(even(x), n, 1) < 5
    assert chi_square(x, n, 2) < 5  # directed


@pytest.mark.parametrize("row", range(len(MASKS)))
def test_masked_edges_are_never_drawn(row):
    assert chi_square(even(normal(5, 5)) + MASKS[row], 5, 3) < 5


# False alarm: 64 x 100 frequencies within 6 standard deviations each, once in 80 000 runs.
@pytest.mark.parametrize("scale", [5.0, 60.0, 1e4])
def test_frequencies_of_edges_are_the_marginals(scale):
    x = scale * even(normal(64, 10, 10))
    generator = torch.Generator().manual_seed(4)
    parents = draw_parents(x, torch.Size([1000]), generator)
    got = torch.nn.functional.one_hot(parents, 10).double().mean(0)
    want = log_partition(x)[1]
    deviation = (want * (1 - want) / 1000).sqrt()
    wide = deviation > 0.002  # many enough for a normal distribution
    assert (((got - want).abs() / deviation)[:, 1:][wide[:, 1:]] < 6).all()
    assert ((got - want).abs()[:, 1:][~wide[:, 1:]] < 0.02).all()


def test_every_path_ends_at_the_root():
    x = 20 * even(normal(3, 30, 30))
    parents = draw_parents(x, torch.Size([2, 50]))
    assert parents.shape == (2, 50, 3, 30)
    assert not parents[..., 0].any()
    far = parents
    for _ in range(5):
        far = far.gather(-1, far)
    assert not far.any()


def test_draws_are_those_of_their_row():
    chain = torch.full((4, 4), -INF)
    for i in range(3):
        chain[i, i + 1] = chain[i + 1, i] = 0.0
    star = torch.full((4, 4), -INF)
    star[0, :] = star[:, 0] = 0.0
    parents = draw_parents(torch.stack([chain, star]), torch.Size([3]))
    assert parents.tolist() == [[[0, 0, 1, 2], [0, 0, 0, 0]]] * 3


def test_the_generator_decides():
    x = torch.zeros(2, 6, 6)
    one, same, other = (
        draw_parents(x, torch.Size([20]), torch.Generator().manual_seed(k)) for k in (5, 5, 6)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    compiled = torch.compile(draw_parents, fullgraph=True, backend="aot_eager")
    assert compiled(x, torch.Size([7])).shape == (7, 2, 6)
