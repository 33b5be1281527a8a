"""Convex hulls and vertices that a solver or a list gives: nothing inside is ever rejected."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.func import vmap

from relaxit import constraints
from tests.helpers import DTYPES, seed

POINTS = {
    "interval": torch.tensor([0.0, 1.0]),
    "square": torch.tensor(list(itertools.product([0.0, 1.0], repeat=2))),
    "cube": torch.tensor(list(itertools.product([0.0, 1.0], repeat=5))),
    "simplex": torch.eye(6),
    "one value": torch.tensor([[0.0, 1.0, 1.0]]),
    "segments": torch.ones(4, 3).tril(-1),
    "permutations": torch.stack([torch.eye(4)[list(p)] for p in itertools.permutations(range(4))]),
    "subsets": torch.tensor([x for x in itertools.product([0.0, 1.0], repeat=6) if sum(x) == 3]),
}
ALL = pytest.mark.parametrize("values", POINTS.values(), ids=list(POINTS))
TYPES = pytest.mark.parametrize("dtype", DTYPES)


def best_of(values):
    """A solver for a list: the value with the largest inner product."""
    rank = values.dim() - 1

    def argmax(direction):
        listed = values.to(direction)
        products = (direction.unsqueeze(direction.dim() - rank) * listed).flatten(
            direction.dim() - rank + 1
        ) if rank else direction.unsqueeze(-1) * listed  # fmt: skip
        return listed[(products.sum(-1) if rank else products).argmax(-1)]

    return argmax


def hulls(values):
    by = constraints.hull_by(best_of(values), values.dim() - 1)
    return {"of": constraints.hull_of(values), "by": by}


HULLS = pytest.mark.parametrize("kind", ["of", "by"])


def mixtures(values, rows, concentration, number=1):
    """Random convex combinations, in float64: near the centre, or near the vertices."""
    noise = torch.randn(rows, len(values), generator=seed(number), dtype=torch.float64)
    return torch.tensordot((concentration * noise).softmax(-1), values.double(), 1)


@ALL
@HULLS
@TYPES
@pytest.mark.parametrize("concentration", [0.1, 1.0, 5.0, 30.0])
def test_nothing_inside_is_rejected(values, kind, dtype, concentration):
    inside = mixtures(values, 300, concentration).to(dtype)
    assert bool(hulls(values)[kind].check(inside).all())


@ALL
@HULLS
@TYPES
def test_vertices_means_and_points_on_edges_are_inside(values, kind, dtype):
    hull = hulls(values)[kind]
    assert bool(hull.check(values.to(dtype)).all())
    assert bool(hull.check(values.double().mean(0).to(dtype)))
    edges = (values.unsqueeze(0) + values.unsqueeze(1)) / 2
    assert bool(hull.check(edges.to(dtype)).all())


def beyond(values, direction, distance):
    """The farthest values in some directions, moved on in these."""
    flat = values.double().flatten(1)
    unit = direction / direction.norm(dim=-1, keepdim=True)
    farthest = flat[(unit @ flat.mT).argmax(-1)]
    return (farthest + distance * unit).reshape(-1, *values.shape[1:])


@ALL
@HULLS
@pytest.mark.parametrize("distance", [1e-4, 1e-3, 0.1, 10.0])
def test_points_beyond_a_vertex_are_rejected(values, kind, distance):
    flat = values.reshape(len(values), -1)
    directions = torch.randn(100, flat.shape[1], generator=seed(2), dtype=torch.float64)
    outside = beyond(values if values.dim() > 1 else flat, directions, distance)
    outside = outside.reshape(-1, *values.shape[1:])
    assert not bool(hulls(values)[kind].check(outside).any())


@HULLS
@TYPES
@pytest.mark.parametrize("name", ["square", "cube", "simplex", "permutations", "subsets"])
def test_points_a_tenth_beside_a_face_are_rejected(name, kind, dtype):
    """Mixtures of the values where an entry is 0 or 1, moved over that bound."""
    values = POINTS[name]
    flat = values.flatten(1)
    for entry, side in itertools.product(range(flat.shape[1]), (0, 1)):
        face = flat[flat[:, entry] == side]
        outside = mixtures(face, 20, 1.0)
        outside[:, entry] += 0.1 if side else -0.1
        checked = hulls(values)[kind].check(outside.reshape(-1, *values.shape[1:]).to(dtype))
        assert not bool(checked.any())


@ALL
@HULLS
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_numbers_that_are_not_finite_are_outside(values, kind, bad):
    points = values[:1].repeat(3, *(1,) * (values.dim() - 1)).clone()
    points[1].view(-1)[0] = bad
    assert hulls(values)[kind].check(points).tolist() == [True, False, True]


@ALL
@HULLS
def test_shapes(values, kind):
    hull = hulls(values)[kind]
    assert hull.event_dim == values.dim() - 1
    assert not hull.is_discrete
    points = values[0].double().expand(2, 3, *values.shape[1:]).requires_grad_()
    checked = hull.check(points)
    assert checked.shape == (2, 3)
    assert checked.dtype == torch.bool
    assert not checked.requires_grad
    assert hull.check(points[0, 0]).shape == ()
    assert hull.check(points[:0]).shape == (0, 3)


def test_more_steps_prove_more():
    """Beside a face it takes many directions; a point inside is never rejected."""
    subsets = POINTS["subsets"]
    near = mixtures(subsets[subsets[:, 0] == 1], 50, 1.0)
    near[:, 0] += 0.02
    few, many = (constraints.hull_by(best_of(subsets), 1, steps=n).check(near) for n in (2, 200))
    assert int(many.sum()) < int(few.sum())
    inside = mixtures(subsets, 50, 5.0)
    assert bool(constraints.hull_by(best_of(subsets), 1, steps=2000).check(inside).all())


def test_rows_are_judged_on_their_own():
    square = hulls(POINTS["square"])["of"]
    points = torch.rand(40, 2, generator=seed(3), dtype=torch.float64) * 1.6 - 0.3
    inside = ((points >= 0) & (points <= 1)).all(-1)
    assert 5 < int(inside.sum()) < 35
    assert torch.equal(square.check(points), inside)
    assert [bool(square.check(point)) for point in points] == inside.tolist()
    assert torch.equal(vmap(square.check)(points), inside)


# --- vertices -----------------------------------------------------------------------------------


@ALL
@TYPES
def test_vertices(values, dtype):
    vertices = constraints.vertices_by(best_of(values), values.dim() - 1)
    assert vertices.is_discrete
    assert vertices.event_dim == values.dim() - 1
    assert bool(vertices.check(values.to(dtype)).all())
    assert vertices.check(values.to(dtype).expand(2, *values.shape)).shape == (2, len(values))
    if len(values) > 1:
        half = ((values[:1] + values[1:2]) / 2).to(dtype)
        assert not bool(vertices.check(half).any())
    assert not bool(vertices.check(2 * torch.ones_like(values)).any())
    assert not bool(vertices.check(values * torch.nan).any())


@pytest.mark.parametrize("name", ["one value", "segments", "subsets", "simplex"])
def test_no_other_bits_are_vertices(name):
    values = POINTS[name]
    bits = torch.tensor(list(itertools.product([0.0, 1.0], repeat=values.shape[1])))
    listed = (bits.unsqueeze(1) == values).all(-1).any(-1)
    assert int(listed.sum()) == len(values) < len(bits)
    for order in (values, values.flip(0)):  # which decides about ties
        assert torch.equal(constraints.vertices_by(best_of(order), 1).check(bits), listed)
