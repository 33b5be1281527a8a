"""Logits, masks and points of the simplex for tests of the categorical structure."""

from __future__ import annotations

import torch

import relaxit
from tests.helpers import seed

INF = torch.inf


def categorical(categories):
    """The structure with so many categories."""
    return relaxit.get("categorical", categories=categories)


def logits_of(*shape, dtype=torch.float64, number=3):
    return torch.randn(shape, generator=seed(number), dtype=torch.float64).to(dtype) * 2


def interior(*shape):
    """Points of the open simplex."""
    return torch.randn(shape, generator=seed(4), dtype=torch.float64).softmax(-1)


MASKS = [
    [True, True, False, True, False],
    [False, True, True, False, False],
    [False, True, False, False, False],
]


def masked(logits, mask):
    """Logits of which those not in the mask are ``-inf``."""
    return logits.masked_fill(~torch.tensor(mask), -INF)
