"""Estimators that differentiate through draws, and their gradients for given draws."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

import relaxit
from relaxit.testing import ALPHA
from tests.helpers import seed

BINARY = relaxit.get("binary")
FIVE = relaxit.get("categorical", categories=5)
GROUND = pytest.mark.parametrize(
    "relaxation", [relaxit.get("categorical", categories=2), FIVE, BINARY], ids=repr
)
WITHOUT_NOISE = ["straight-through", "gapped-st", "reinmax"]
WITH_NOISE = ["gumbel-rao", "reinmax-rao", "reinmax-cv"]


def built(name: str):
    """The estimator of a name, with options that make it differ from simpler ones."""
    few = {"draws": 6, "chunk": 4} if "rao" in name or name == "reinmax-cv" else {}
    options = {"forward": 0.6} if name == "decoupled-st-gumbel" else few
    return relaxit.estimator(name, **options)


def slope_given(estimator, relaxation, params, hard, cost, temperature=1.0, number=1):
    """Gradient in each row of ``params``, with the draw given."""
    leaf = params.detach().clone().requires_grad_()
    value = estimator.given(relaxation(leaf, temperature), hard, seed(number))
    return torch.autograd.grad(cost(value).sum(), leaf)[0]


def drawn(relaxation, params, *shape, number=3):
    """Exact hard draws."""
    return relaxation(params).sample_hard(shape, seed(number))


def upstream(cost, hard):
    """Gradient of the costs at hard values."""
    point = hard.clone().requires_grad_()
    return torch.autograd.grad(cost(point).sum(), point)[0]


def same_mean(one, other):
    """Whether Welch's test accepts equal means of rows ``[M, D]``, at ALPHA for all entries."""
    p = stats.ttest_ind(one.numpy(), other.numpy(), equal_var=False).pvalue
    return bool((p > ALPHA / one.shape[1]).all())
