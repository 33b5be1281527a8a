"""Derivatives of the scaling in programs that are traced or exported: those of eager code."""

from __future__ import annotations

import warnings

import pytest
import torch
from permutation_helpers import close, normal, seed
from torch import Tensor, nn

from relaxit_permutation.sinkhorn.operator import sinkhorn

pytestmark = pytest.mark.usefixtures("all_converge")


class Transport(nn.Module):
    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        return sinkhorn(x, self.temperature, rows=rows, columns=columns)


class Matching(nn.Module):
    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        return sinkhorn(x, self.temperature) + 0 * (rows.sum() + columns.sum())


def traced(module: nn.Module, arguments: tuple[Tensor, ...]) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # checks of shapes are traced as constants
        return torch.jit.trace(module, arguments, check_trace=False)


def exported(module: nn.Module, arguments: tuple[Tensor, ...]) -> nn.Module:
    return torch.export.export(module, arguments).module()


def arguments(number: int = 7) -> tuple[Tensor, Tensor, Tensor]:
    """Scores, and sums of total 1."""
    sums = (torch.rand(n, generator=seed(number + n), dtype=torch.float64) + 0.2 for n in (3, 4))
    return normal(3, 4, number=number), *(s / s.sum() for s in sums)


def derivatives(
    module: nn.Module, point: tuple[Tensor, ...], direction: tuple[Tensor, ...], orders: int
) -> list[Tensor]:
    """Derivatives along a direction of a weighted sum, by reverse mode over and over."""
    t = torch.zeros((), dtype=torch.float64, requires_grad=True)
    moved = (a + t * d for a, d in zip(point, direction, strict=True))
    value, found = (module(*moved) * normal(3, 4, number=3)).sum(), []
    for _ in range(orders):
        (value,) = torch.autograd.grad(value, t, create_graph=True)
        found.append(value)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("record", [traced, exported])
@pytest.mark.parametrize("module", [Transport(0.7), Transport(0.1), Matching(0.7)], ids=str)
def test_derivatives_are_those_of_eager_code(record, module):
    program = record(module, arguments(number=9))  # recorded with other numbers
    point = arguments()
    direction = normal(3, 4, number=2), normal(3, number=4), normal(4, number=5)
    direction = direction[0], *(0.1 * (d - d.mean()) for d in direction[1:])
    found = derivatives(program, point, direction, 4)
    want = derivatives(module, point, direction, 4)
    for order, (one, other) in enumerate(zip(found, want, strict=True), start=1):
        off = 1e-12 if order == 1 else 1e-7
        close(one, other, off * float(1 + other.detach().abs()), what=f"order {order}")
    assert bool(torch.stack(want).abs().min() > 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("record", [traced, exported])
@pytest.mark.parametrize("temperature", [0.02, 1.0])
def test_gradients_of_scores_and_sums(record, temperature):
    module = Transport(temperature)
    program, weights = record(module, arguments(number=9)), normal(3, 4, number=3)
    point = tuple(a.requires_grad_() for a in arguments())
    found, want = (
        torch.autograd.grad((f(*point) * weights).sum(), point) for f in (program, module)
    )
    for one, other in zip(found, want, strict=True):
        close(one, other, 1e-10 * float(1 + other.abs().max()))
        assert bool(other.any())
    close(program(*point), module(*point), 1e-12)
