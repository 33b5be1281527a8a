"""The functions in the programs of others: forward mode, Hessians, tracers, exporters."""

from __future__ import annotations

import warnings

import pytest
import torch
from permutation_helpers import close, normal
from torch import Tensor, nn

from relaxit_permutation.sinkhorn.operator import sinkhorn
from relaxit_permutation.sorting.ranking import hard_permutation, rank, soft_permutation, sort, topk

EVERY = pytest.mark.parametrize("relaxation", ["softsort", "neuralsort", "sinkhorn"])
MASK = torch.tensor([True, True, False, True, True])


class Ranking(nn.Module):
    """Functions as they stand in a model."""

    def __init__(self, relaxation: str = "softsort", masked: bool = False) -> None:
        super().__init__()
        self.relaxation, self.masked = relaxation, masked

    def forward(self, x: Tensor) -> Tensor:
        mask = MASK if self.masked else None
        ordered = sort(x, 0.5, self.relaxation, mask=mask).clamp_min(-100)
        best = topk(x, 2, 0.5, self.relaxation, mask=mask).values
        ranks = rank(x, 0.5, self.relaxation, mask=mask)
        hard = hard_permutation(x, mask=mask).flatten(-2)
        return torch.cat([ordered, best, ranks, hard], -1)


class Transport(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return sinkhorn(x.unsqueeze(-1) * x.unsqueeze(-2), 0.5, mask=MASK & MASK.unsqueeze(-1))


MODULES = {
    "softsort": Ranking(),
    "neuralsort masked": Ranking("neuralsort", masked=True),
    "softsort masked": Ranking(masked=True),
    "sinkhorn masked": Ranking("sinkhorn", masked=True),
    "sinkhorn": Transport(),
}
MODELS = pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)


@EVERY
@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "padded"])
def test_forward_mode_agrees_with_reverse_mode(relaxation, mask):
    x, direction = normal(5), normal(5, number=2)

    def every(v: Tensor) -> Tensor:
        ordered = sort(v, 0.5, relaxation, mask=mask)
        p = soft_permutation(v, 0.5, relaxation, mask=mask).flatten()
        best = topk(v, 2, 0.5, relaxation, mask=mask).values
        ranks = rank(v, 0.5, relaxation, mask=mask)
        return torch.cat([ordered.masked_fill(ordered.isinf(), 0.0), p, best, ranks])

    backward = torch.func.jacrev(every)(x)
    close(torch.func.jacfwd(every)(x), backward, 1e-8)
    values, tangent = torch.func.jvp(every, (x,), (direction,))
    close(values, every(x), 1e-12)
    close(tangent, backward @ direction, 1e-8)


@EVERY
def test_hessian(relaxation):
    x, weights = normal(4), normal(4, number=3)

    def loss(v: Tensor) -> Tensor:
        return (rank(v, 0.5, relaxation).square() * weights).sum()

    hessian = torch.func.hessian(loss)(x)
    twice = torch.func.jacrev(torch.func.jacrev(loss))(x)
    close(hessian, twice, 1e-8)
    close(hessian, hessian.mT, 1e-7)
    assert bool(hessian.abs().max() > 1e-3)


@MODELS
def test_jit_trace_takes_other_values(module):
    x, other = normal(3, 5), normal(3, 5, number=8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # checks of shapes are traced as constants
        traced = torch.jit.trace(module, (x,), check_trace=False)
    close(traced(other), module(other), 1e-12)


@MODELS
def test_symbolic_trace_keeps_the_functions(module):
    x = normal(3, 5)
    traced = torch.fx.symbolic_trace(module)
    called = {node.target for node in traced.graph.nodes if node.op == "call_function"}
    assert called & {sort, sinkhorn}
    close(traced(x), module(x), 0)


@pytest.mark.slow
@MODELS
def test_export(module):
    x, other = normal(3, 5), normal(3, 5, number=8)
    exported = torch.export.export(module, (x,))
    close(exported.module()(other), module(other), 1e-12)
