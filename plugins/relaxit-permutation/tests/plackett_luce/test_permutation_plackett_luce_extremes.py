"""Padded lists under Plackett-Luce at the ends of the range: those without pads."""

from __future__ import annotations

import pytest
import torch
from permutation_extremes import COLD, HOT, checked, numbers
from permutation_helpers import INF, close, dtypes, normal

from relaxit_permutation.plackett_luce.permutation_plackett_luce import PermutationPlackettLuce

RELAXATIONS = pytest.mark.parametrize("relaxation", ["softsort", "neuralsort"])
ITEMS = torch.tensor([True, False, True, False, False, True])
N, M = 6, 3


def whole(found: torch.Tensor) -> torch.Tensor:
    """Matrices of the items with the pads behind."""
    matrix = torch.zeros(*found.shape[:-2], N, N, dtype=found.dtype)
    matrix[..., :M, ITEMS] = found
    matrix[..., range(M, N), (~ITEMS).nonzero().squeeze(-1)] = 1.0
    return matrix


@RELAXATIONS
@dtypes
@pytest.mark.parametrize("size", [1.0, 1e30, 1e38])
def test_soft_samples(relaxation, dtype, size):
    padded, alone = (PermutationPlackettLuce(n=n, relaxation=relaxation) for n in (N, M))
    x = (normal(2, N).tanh() * size).to(dtype).masked_fill(~ITEMS, -INF)
    for temperature in numbers([*COLD, 0.5, 1e36, *HOT], dtype):
        found = checked(padded.relax, x, temperature)
        assert found.dtype == dtype
        with torch.no_grad():
            want = alone.relax(x[:, ITEMS], temperature)
        close(found, whole(want), 1e-6, what=f"{temperature}")


@pytest.mark.parametrize(
    ("dtype", "size"),
    [(torch.float32, 1e38), (torch.bfloat16, 1e38), (torch.float64, 1e307), (torch.float64, 1e38)],
    ids=str,
)
def test_discrete_distribution(dtype, size):
    one = torch.tensor([0.3, 0.0, -0.9, 0.0, 0.0, 0.8]).double()
    x = (one * size).to(dtype).masked_fill(~ITEMS, -INF)
    q, alone = PermutationPlackettLuce(n=N)(x), PermutationPlackettLuce(n=M)(x[ITEMS])
    close(q.discrete.mean, whole(alone.discrete.mean), 1e-6)
    close(q.discrete.mode, whole(alone.discrete.mode), 0)
    close(q.discrete.entropy(), alone.discrete.entropy(), 1e-6)
    orders = alone.discrete.enumerate_support()
    close(q.discrete.log_prob(whole(orders)), alone.discrete.log_prob(orders), 0, 1e-2)
    drawn = q.sample_hard((20,), torch.Generator().manual_seed(1))
    close(drawn, q.discrete.mode.expand_as(drawn), 0)
    soft = q.rsample((20,), torch.Generator().manual_seed(1))
    close(soft, drawn, 1e-6)
