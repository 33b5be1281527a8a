"""Graphs of different sizes in one batch."""

from __future__ import annotations

import re

import pytest
import torch

import relaxit
from relaxit import DomainError, ShapeError

STRUCTURES = [
    ("spanning-tree", {}),
    ("arborescence", {"roots": "single"}),
    ("arborescence", {"roots": "multiple"}),
    ("projective-tree", {}),
]
EACH = pytest.mark.parametrize(("name", "options"), STRUCTURES)


@EACH
def test_quantities_are_those_of_the_smaller_graph(name, options):
    structure = relaxit.get(name, nodes=5, **options)
    params = torch.randn(5, 5, 5, dtype=torch.float64)
    if name == "spanning-tree":
        params = params + params.mT
    sizes = torch.arange(1, 6)
    q = structure.discrete(structure.pad(params, sizes))
    hard = q.sample((3,))
    for row, size in enumerate(sizes.tolist()):
        small = relaxit.get(name, nodes=size, **options).discrete(params[row, :size, :size])
        torch.testing.assert_close(q.entropy()[row], small.entropy())
        torch.testing.assert_close(q.mean[row, :size, :size], small.mean)
        values = hard[:, row, :size, :size]
        torch.testing.assert_close(q.log_prob(hard)[:, row], small.log_prob(values))


@EACH
@pytest.mark.parametrize("shape", [(4,), (3, 3), (2, 5, 5), (2, 4, 3)])
def test_params_of_another_number_of_nodes_are_one_line(name, options, shape):
    structure = relaxit.get(name, nodes=4, **options)
    wanted = re.escape(f"{name}: params must be [*, 4, 4], got {list(shape)}")
    with pytest.raises(ShapeError, match=f"^{wanted}$"):
        structure.pad(torch.zeros(shape), torch.tensor(2))


@EACH
def test_wrong_sizes_are_one_line(name, options):
    structure = relaxit.get(name, nodes=4, **options)
    with pytest.raises(DomainError, match=f"{name}: sizes must be from 1 to 4, got 0 to 3"):
        structure.pad(torch.zeros(2, 4, 4), torch.tensor([3, 0]))
    with pytest.raises(ShapeError, match=name):
        structure.pad(torch.zeros(2, 4, 4), torch.tensor([3, 2, 1]))
    with pytest.raises(TypeError, match=name):
        structure.pad(torch.zeros(2, 4, 4), torch.tensor([3.0, 2.0]))
