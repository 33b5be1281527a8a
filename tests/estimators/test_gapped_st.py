"""Gapped straight-through keeps its gap, and is biased."""

from __future__ import annotations

import math

import pytest
import torch

from relaxit.estimators.gapped_st import with_gap
from tests.estimators.draw_estimators import FIVE, GROUND, drawn
from tests.estimators.enumeration import bias
from tests.estimators.formulas import gapped
from tests.helpers import params_for


@GROUND
@pytest.mark.parametrize("name", ["gapped-st"])
def test_it_is_biased(relaxation, name):
    assert 0.001 < bias(name, relaxation, 2) < 2


@pytest.mark.parametrize("gap", [0.0, 0.5, 2.0])
def test_the_gap_is_kept_and_no_more(gap):
    logits = params_for(FIVE, 200)
    hard = drawn(FIVE, logits)
    moved = with_gap(logits, hard, gap, "category")
    torch.testing.assert_close(moved, gapped("category", logits, hard, gap))
    others = moved.masked_fill(hard == 1, -math.inf).amax(-1)
    lead = (moved * hard).sum(-1) - others
    assert bool((lead >= gap - 1e-12).all())
    leads = (logits * hard).sum(-1) - logits.masked_fill(hard == 1, -math.inf).amax(-1) >= gap
    assert torch.equal(moved[leads], logits[leads])  # what leads already is not moved
    assert bool((moved <= logits.amax(-1, keepdim=True)).all())
    bits = with_gap(logits, (hard > 0.5).double(), gap, "bits")
    assert bool(((2 * hard - 1) * bits >= gap).all())
