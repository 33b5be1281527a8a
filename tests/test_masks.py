"""Masks: what they exclude, and which are rejected."""

from __future__ import annotations

import itertools

import pytest
import torch

from relaxit import ShapeError
from relaxit.masks import apply_mask

SHAPES = [(), (3,), (2, 3), (4, 1, 3)]


@pytest.mark.parametrize("mask_shape", [*SHAPES, (1,), (2, 1), (1, 3), (4, 2, 3), (3, 2)])
@pytest.mark.parametrize("shape", [*SHAPES, (0, 3)])
def test_a_mask_broadcasts_to_the_scores_and_never_enlarges_them(shape, mask_shape):
    scores, mask = torch.zeros(shape), torch.zeros(mask_shape, dtype=torch.bool)
    try:
        fits = torch.broadcast_shapes(shape, mask_shape) == torch.Size(shape)
    except RuntimeError:
        fits = False
    if fits:
        assert apply_mask("f", scores, mask).shape == scores.shape
    else:
        with pytest.raises(ShapeError, match=r"f: a mask of shape"):
            apply_mask("f", scores, mask)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_excluded_scores_are_minus_infinity_and_get_no_gradient(dtype):
    for row in itertools.product([True, False], repeat=3):
        scores = torch.tensor([1.0, -2.0, 3.0], dtype=dtype, requires_grad=True)
        mask = torch.tensor(row)
        result = apply_mask("f", scores, mask)
        assert result.dtype == dtype
        assert (result == -torch.inf).tolist() == (~mask).tolist()
        assert torch.equal(result[mask], scores[mask])
        result[mask].sum().backward()
        assert torch.equal(scores.grad, mask.to(dtype))


def test_no_mask_leaves_the_scores_as_they_are():
    scores = torch.zeros(3)
    assert apply_mask("f", scores, None) is scores


@pytest.mark.parametrize("mask", [torch.ones(3), torch.ones(3, dtype=torch.int64), [True] * 3])
def test_a_mask_that_is_not_bool_is_rejected(mask):
    with pytest.raises(TypeError, match="f: mask must be a bool tensor, True where"):
        apply_mask("f", torch.zeros(3), mask)
