"""Edges as vectors and as matrices."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.autograd import gradcheck

from relaxit import ShapeError
from relaxit_graph.edges.vectors import adjacency, arc_matrix, arc_vector, edge_vector, symmetric

SIZES = pytest.mark.parametrize("n", [1, 2, 3, 4, 7])


@SIZES
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_edges_in_order(n, dtype):
    edges = list(itertools.combinations(range(n), 2))
    vector = torch.randn(2, len(edges)).to(dtype)
    matrix = adjacency(vector)
    assert matrix.shape == (2, n, n)
    for number, (i, j) in enumerate(edges):
        assert torch.equal(matrix[:, i, j], vector[:, number])
    assert torch.equal(matrix, matrix.mT)
    assert (matrix.diagonal(dim1=-2, dim2=-1) == 0).all()
    assert torch.equal(edge_vector(matrix), vector)


def test_the_mean_of_both_entries():
    matrix = torch.tensor([[9.0, 1.0, -torch.inf], [3.0, 9.0, 60000.0], [0.0, 60000.0, 9.0]])
    assert edge_vector(matrix).tolist() == [2.0, -torch.inf, 60000.0]
    assert edge_vector(matrix.half()).tolist() == [2.0, -torch.inf, 60000.0]
    least = torch.full((2, 2), torch.finfo(torch.float16).smallest_normal / 1024).half()
    assert edge_vector(least) == least[0, 1] > 0  # no digit of a tiny number is lost


@SIZES
def test_arcs_in_order(n):
    arcs = list(itertools.permutations(range(n), 2))
    vector = torch.randn(2, len(arcs))
    matrix = arc_matrix(vector, n)
    for number, (i, j) in enumerate(arcs):
        assert torch.equal(matrix[:, i, j], vector[:, number])
    assert (matrix.diagonal(dim1=-2, dim2=-1) == 0).all()
    assert torch.equal(arc_vector(matrix), vector)


def test_gradients():
    vector = torch.randn(6, dtype=torch.float64, requires_grad=True)
    matrix = torch.randn(4, 4, dtype=torch.float64, requires_grad=True)
    assert gradcheck(adjacency, vector)
    assert gradcheck(edge_vector, matrix)
    assert gradcheck(arc_vector, matrix)


def test_shapes_that_are_none():
    with pytest.raises(ShapeError, match="4 is not the number of edges"):
        adjacency(torch.zeros(4))
    with pytest.raises(ShapeError, match=r"must be \[\*, n, n\], got \[2, 3\]"):
        edge_vector(torch.zeros(2, 3))
    with pytest.raises(ShapeError, match=r"got \[4\]"):
        arc_vector(torch.zeros(4))


def test_the_symmetric_part_has_no_diagonal():
    params = torch.randn(4, 4)
    params.diagonal().fill_(-torch.inf)
    mean = symmetric(params)
    assert mean[1, 3] == (params[1, 3] + params[3, 1]) / 2
    assert not mean.diagonal().any()
    assert torch.equal(edge_vector(params)[:3], mean[0, 1:])
