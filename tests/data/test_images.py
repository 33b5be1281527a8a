"""Stored images become numbers in [0, 1]: grey levels, thresholded, or drawn for each batch."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from relaxit.data import ImageReader, read_images
from relaxit.testing import ALPHA
from tests.helpers import seed


def test_grey_and_threshold():
    stored = torch.arange(17, dtype=torch.uint8)[None, None]
    assert torch.allclose(read_images(stored, 16), torch.arange(17)[None, None] / 16)
    wanted = (torch.arange(17)[None, None] > 8).float()
    assert torch.equal(read_images(stored, 16, "threshold"), wanted)
    assert stored.flatten().tolist() == list(range(17))  # not changed in place


@pytest.mark.parametrize("level", [0, 1, 5, 16])
def test_dynamic_draws_each_pixel_with_its_grey_level(level):
    # One binomial test of 20 000 pixels at ALPHA for each level.
    stored = torch.full((200, 10, 10), level, dtype=torch.uint8)
    x = read_images(stored, 16, "dynamic", seed(1))
    assert set(x.unique().tolist()) <= {0.0, 1.0}

    def p_value(probability):
        return stats.binomtest(int(x.sum()), x.numel(), probability).pvalue

    assert p_value(level / 16) > ALPHA
    assert p_value(min(1, max(0, level / 16 + 0.02 if level < 16 else 0.98))) < ALPHA  # has power


@pytest.mark.parametrize("binarise", ["none", "threshold", "dynamic"])
@pytest.mark.parametrize("levels", [1, 2])
def test_reading_floats_leaves_the_set_alone(levels, binarise):
    stored = torch.rand(50, 2, 1)
    before = stored.clone()
    read_images(stored, levels, binarise).add_(1)
    assert torch.equal(stored, before)


def test_the_reader_reads_inputs_and_leaves_other_columns_alone():
    reader = ImageReader(16, "threshold")
    targets = torch.tensor([3, 4])
    columns = {"inputs": torch.tensor([[[9]], [[8]]], dtype=torch.uint8), "targets": targets}
    read = reader(columns, None)
    assert read["inputs"].flatten().tolist() == [1.0, 0.0]
    assert read["targets"] is targets
    assert reader({"targets": targets}, None) == {"targets": targets}
    assert reader.limits("inputs", 0, 8) == (0.0, 0.5)
    assert reader.limits("targets", 0, 8) == (0, 8)
