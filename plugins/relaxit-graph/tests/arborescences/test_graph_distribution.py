"""Samples of directed trees follow their masses."""

from __future__ import annotations

import pytest
import torch
from arborescence_oracles import ROOTS, enumerated, legal_masks, normal, seed, trees
from scipy.stats import chi2

from relaxit_graph.arborescences.arborescence import Arborescence

DRAWS = 40_000
ALARM = 1e-6
"""Rate of false alarms of one chi-square test; there are 24."""


def counts_of(drawn, values):
    bits = 2.0 ** torch.arange(values[0].numel(), dtype=torch.float64)
    keys, order = (values.flatten(1) @ bits).sort()
    drawn = drawn.flatten(1) @ bits
    place = torch.searchsorted(keys, drawn)
    assert torch.equal(keys[place], drawn)
    return torch.zeros(len(values)).index_add(0, order[place], torch.ones(len(place)))


def wrong_frequencies(counts, mass):
    """Whether a chi-square test rejects; rare trees share a cell."""
    expected = mass * counts.sum()
    assert (counts[mass == 0] == 0).all()
    rare = expected < 10
    cells = [(counts[~rare], expected[~rare])]
    if expected[rare].sum() > 0:
        cells.append((counts[rare].sum().view(1), expected[rare].sum().view(1)))
    seen, wanted = (torch.cat(x).double() for x in zip(*cells, strict=True))
    if len(wanted) < 2:
        return False
    statistic = ((seen - wanted).square() / wanted.clamp_min(1e-9)).sum()
    return chi2.sf(float(statistic), len(wanted) - 1) < ALARM


@ROOTS
@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_frequencies(n, single):
    trees_of = Arborescence(nodes=n, roots="single" if single else "multiple")
    values = trees(n, single)
    params = torch.stack(
        [normal(n, n), 3 * normal(n, n, number=1) - 12, legal_masks(n, 1, single)[0]]
    )
    drawn = trees_of(params).sample_hard((DRAWS,), generator=seed(2))
    mass = enumerated(params, single)[2].exp()
    for row in range(3):
        assert not wrong_frequencies(counts_of(drawn[:, row], values), mass[row])


@ROOTS
def test_large_trees_have_the_right_marginals(single):
    n, draws = 12, 20_000
    params = 2 * normal(n, n, number=3)
    q = Arborescence(nodes=n, roots="single" if single else "multiple")(params)
    drawn = q.sample_hard((draws,), generator=seed(4))
    assert q.relaxation.vertices.check(drawn).all()
    mean = q.discrete.mean
    error = (mean * (1 - mean) / draws).sqrt() + 1e-4
    # 144 entries beyond 6 standard errors: rate of false alarms 3e-7.
    assert ((drawn.mean(0) - mean).abs() < 6 * error).all()


def test_a_generator_repeats_a_sample():
    q = Arborescence(nodes=6)(normal(3, 6, 6))
    first, again, other = (q.sample_hard((5,), generator=seed(x)) for x in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
