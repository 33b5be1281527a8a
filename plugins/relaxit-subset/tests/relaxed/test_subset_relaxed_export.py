"""Traced and exported programs draw legal samples and give the eager values, at any batch size."""

from __future__ import annotations

import warnings

import pytest
import torch
from subset_helpers import INF, close, listed, normal, poisson, race
from torch import nn

import relaxit
from relaxit.testing import count_values, wrong_frequencies

QUANTITIES = {
    "rsample": lambda q: q.rsample(),
    "draw": lambda q: torch.stack(q.draw()),
    "sample-hard": lambda q: q.sample_hard(),
    "mode": lambda q: q.discrete.mode,
    "mean": lambda q: q.discrete.mean,
    "soft": lambda q: q.relaxation.relax(q.params, q.aligned_temperature),
}
NAMES = pytest.mark.parametrize("name", ["subset", "subset-plackett-luce"])
EACH = pytest.mark.parametrize("quantity", QUANTITIES)


class Program(nn.Module):
    def __init__(self, name, quantity, n=5, k=2):
        super().__init__()
        self.structure, self.quantity = relaxit.get(name, n=n, k=k), quantity

    def forward(self, logits):
        return QUANTITIES[self.quantity](self.structure(logits, 0.5))


def traced(program, logits):
    with warnings.catch_warnings():  # torch's own: deprecation, sizes as constants
        warnings.simplefilter("ignore")
        return torch.jit.trace(program, logits, check_trace=False)


def exported(program, logits):
    batch = ({0: torch.export.Dim("batch")},)
    return torch.export.export(program, (logits,), strict=False, dynamic_shapes=batch).module()


def legal(program, value):
    structure, quantity = program.structure, program.quantity
    if quantity == "draw":
        soft, hard = value
        return structure.support.check(soft).all() and structure.vertices.check(hard).all()
    vertices = quantity in ("sample-hard", "mode")
    return (structure.vertices if vertices else structure.support).check(value).all()


@EACH
@NAMES
@pytest.mark.parametrize("transform", [traced, exported])
def test_values_at_another_batch_size(transform, name, quantity):
    program = Program(name, quantity)
    found = transform(program, normal(3, 5).float())
    for number in (1, 2):
        logits = normal(7, 5, number=number).float() * 2
        value = found(logits)
        assert value.shape[-2:] == (7, 5)
        assert bool(legal(program, value))
        if quantity in ("mode", "mean", "soft"):
            close(value, program(logits), 2e-6)
        else:
            assert not torch.equal(value, found(logits))  # noise is not a constant


@NAMES
@pytest.mark.parametrize("transform", [traced, exported])
def test_hard_samples_follow_the_distribution(transform, name):
    # alpha = 2e-5
    found = transform(Program(name, "sample-hard", n=4), torch.zeros(3, 4, dtype=torch.float64))
    logits = torch.tensor([0.0, 1.0, -1.0, 2.0], dtype=torch.float64)
    observed = count_values(found(logits.expand(20_000, 4)), listed(4, 2))
    exact = {"subset": poisson(logits, 2), "subset-plackett-luce": race(logits, 2)}
    for each, mass in exact.items():
        assert bool(wrong_frequencies(observed, mass.exp())) == (each != name)


@NAMES
def test_soft_samples_are_those_of_eager_code(name):
    program, logits = Program(name, "rsample"), normal(3, 5).float()
    found = traced(program, logits)
    torch.manual_seed(1)
    want = program(logits)
    torch.manual_seed(1)
    close(found(logits), want, 1e-6)


@pytest.mark.parametrize("transform", [traced, exported])
@pytest.mark.parametrize("quantity", ["soft", "mean"])
def test_gradients_of_a_recorded_program(transform, quantity):
    # Rows that are partly or wholly decided, whose slopes are zero and not NaN.
    rows = [[0.3, -INF, 1.0, INF, 0.2], [INF, 0.1, INF, 0.0, 1.0], [0.4, 0.1, 0.0, 2.0, -1.0]]
    logits = torch.tensor(rows, dtype=torch.float64, requires_grad=True)
    program = Program("subset", quantity)
    found = transform(program, normal(3, 5, number=2))
    upstream = normal(3, 5, number=4)
    (want,) = torch.autograd.grad(program(logits), logits, upstream)
    assert bool(want.any())
    for _ in range(3):  # torch.jit runs a trace as it is, then differentiates and optimises it
        (slope,) = torch.autograd.grad(found(logits), logits, upstream)
        close(slope, want, 1e-12)
