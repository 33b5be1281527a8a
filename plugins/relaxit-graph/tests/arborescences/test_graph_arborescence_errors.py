"""Bad input: one line that says what is wrong."""

from __future__ import annotations

import pytest
import torch
from arborescence_oracles import INF, ROOTS, legal_masks, normal, totals, trees

from relaxit import DomainError, ShapeError, Unsupported
from relaxit.errors import OptionsError
from relaxit_graph.arborescences.arborescence import Arborescence


def structure(n, single):
    return Arborescence(nodes=n, roots="single" if single else "multiple")


def message_of(error):
    text = str(error.value)
    assert "\n" not in text
    return text


@ROOTS
def test_params_without_a_tree(single):
    unreachable = torch.zeros(3, 3)
    unreachable[:, 2] = -INF
    no_root = torch.zeros(3, 3).fill_diagonal_(-INF)
    bad = {
        "a node that nothing leads to": unreachable,
        "no root": no_root,
        "NaN": torch.full((3, 3), torch.nan),
        "+inf": torch.zeros(3, 3).index_fill(0, torch.tensor([1]), INF),
        "NaN on the diagonal": torch.zeros(3, 3).fill_diagonal_(torch.nan),
    }
    for params in bad.values():
        batch = torch.stack([torch.zeros(3, 3), params])
        assert structure(3, single).valid_params(batch).tolist() == [True, False]
        with pytest.raises(DomainError) as error:
            structure(3, single)(batch)
        assert "illegal params in 1 of 2 parameter sets (NaN, +inf, or masks" in message_of(error)


def test_two_components_need_two_roots():
    params = torch.full((4, 4), -INF)
    params[:2, :2] = params[2:, 2:] = 0.0
    assert structure(4, False)(params).sample_hard().trace() >= 2
    with pytest.raises(DomainError) as error:
        structure(4, True)(params)
    assert "masks that leave no tree with one root over all 4 nodes" in message_of(error)


@ROOTS
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_valid_params_are_those_of_which_a_tree_is_left(n, single):
    params = normal(500, n, n)
    drop = torch.rand(params.shape, generator=torch.Generator().manual_seed(1)) < 0.5
    params = params.masked_fill(drop, -INF)
    want = totals(params, trees(n, single)).amax(-1) > -INF
    assert 0 < want.sum() < len(want)
    trees_of = structure(n, single)
    assert torch.equal(trees_of.valid_params(params), want)
    assert torch.equal(torch.vmap(trees_of.valid_params)(params), want)


def test_options_and_shapes():
    for options in ({"nodes": 0}, {"nodes": 3, "roots": "two"}, {}):
        with pytest.raises(OptionsError):
            Arborescence(**options)
    with pytest.raises(ShapeError, match=r"params must be \[\*, 3, 3\]"):
        Arborescence(nodes=3)(torch.zeros(3, 4))
    with pytest.raises(Unsupported, match="has no log_prob"):
        Arborescence(nodes=3)(torch.zeros(3, 3)).log_prob(torch.eye(3))
    with pytest.raises(Unsupported, match="too many to list"):
        Arborescence(nodes=7).enumerate_vertices()
    assert not Arborescence(nodes=7)(torch.zeros(7, 7)).discrete.has_enumerate_support


@ROOTS
def test_what_is_no_tree_has_no_mass(single):
    q = structure(3, single)(legal_masks(3, 1, single)[0]).discrete
    cycle = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    two = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    headless = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    for value in (cycle, headless, torch.full((3, 3), 1 / 3)):
        assert q.log_prob(value.double()) == -INF
    full = structure(3, single)(torch.zeros(3, 3)).discrete
    assert (full.log_prob(two) == -INF) == single
