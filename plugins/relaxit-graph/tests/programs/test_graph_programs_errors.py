"""Bad input gives one line that names the structure."""

from __future__ import annotations

import pytest
import torch
from sequence_oracles import ALL, INF, SOME, listing, normal
from torch.distributions import kl_divergence

import relaxit
from relaxit import ConfigurationError, DomainError, ShapeError, Unsupported


def one_line(error, *words):
    text = str(error.value)
    assert "\n" not in text
    for word in words:
        assert word in text


@ALL
@pytest.mark.parametrize("bad", [torch.nan, INF])
def test_nan_and_inf(relaxation, bad):
    params = normal(3, *relaxation.param_shape)
    params[1].flatten()[0] = bad
    assert relaxation.valid_params(params).tolist() == [True, False, True]
    with pytest.raises(DomainError) as error:
        relaxation(params)
    one_line(error, relaxation.name, "1 of 3", "NaN, +inf, or masks that leave no value")


@ALL
def test_masks_that_leave_no_value(relaxation):
    params = listing(relaxation).masked(normal(3, *relaxation.param_shape), 1)
    assert relaxation.valid_params(params).tolist() == [True] * 3
    params[2] = -INF
    assert relaxation.valid_params(params).tolist() == [True, True, False]
    with pytest.raises(DomainError) as error:
        relaxation(params)
    one_line(error, relaxation.name, "1 of 3", "masks that leave no value")


@SOME
@pytest.mark.parametrize("number", range(20))
def test_masks_are_legal_if_and_only_if_a_value_is_left(relaxation, number):
    rows = normal(30, *relaxation.param_shape, number=number)
    rows = rows.masked_fill(normal(*rows.shape, number=number + 100) > 0.3, -INF)
    legal = listing(relaxation).log_partition(rows) > -INF
    assert torch.equal(relaxation.valid_params(rows), legal)


@pytest.mark.parametrize(
    ("name", "options", "shape", "masked"),
    [
        # No state, no step from the first to the second position.
        ("chain", {"length": 2, "states": 2}, (8,), [2, 3]),
        ("chain", {"length": 2, "states": 2}, (8,), [4, 5, 6, 7]),
        # No segment begins at the first position.
        ("segmentation", {"length": 2, "labels": 1, "longest": 2}, (5,), [0, 1]),
        # The first pair; all ways to the last one.
        ("alignment", {"rows": 2, "columns": 2}, (4,), [0]),
        ("alignment", {"rows": 2, "columns": 3}, (6,), [1, 4]),
        ("alignment", {"rows": 2, "columns": 3, "moves": "attention"}, (6,), [1, 4]),
        # No root.
        ("projective-tree", {"nodes": 2}, (4,), [0, 3]),
    ],
)
def test_what_every_value_needs(name, options, shape, masked):
    relaxation = relaxit.get(name, **options)
    params = torch.zeros(shape).index_fill(0, torch.tensor(masked), -INF)
    params = params.reshape(relaxation.param_shape)
    assert not bool(relaxation.valid_params(params))
    for place in masked:  # any of them makes it legal
        free = params.flatten().index_fill(0, torch.tensor(place), 0.0).reshape(params.shape)
        assert bool(relaxation.valid_params(free))


@ALL
def test_wrong_shapes(relaxation):
    good = torch.zeros(3, *relaxation.param_shape)
    for bad in (torch.cat([good, good], -1), good.new_zeros(3, 1000), torch.tensor(0.0)):
        with pytest.raises(ShapeError) as error:
            relaxation(bad)
        one_line(error, relaxation.name, "params")
    with pytest.raises(ShapeError) as error:
        relaxation.discrete(good).log_prob(torch.zeros(3, 1000))
    one_line(error, relaxation.name)
    with pytest.raises(TypeError, match=relaxation.name):
        relaxation(good.long())


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("chain", {"length": 0, "states": 2}, ["chain", "length"]),
        ("chain", {"length": 2, "states": 0}, ["chain", "states"]),
        ("chain", {"length": 2, "states": 2, "noise": "pair"}, ["chain", "noise"]),
        ("chain", {"length": 2}, ["chain", "states"]),
        ("gumbel-crf", {"length": 0, "states": 2}, ["gumbel-crf", "length"]),
        ("segmentation", {"length": 3, "labels": 1, "longest": 4}, ["longest=4", "length=3"]),
        ("segmentation", {"length": 3, "labels": 1, "longest": 0}, ["segmentation", "longest"]),
        ("segmentation", {"length": 3, "labels": 0, "longest": 1}, ["segmentation", "labels"]),
        ("alignment", {"rows": 0, "columns": 1}, ["alignment", "rows"]),
        ("alignment", {"rows": 1, "columns": 1, "moves": "up"}, ["alignment", "moves"]),
        ("alignment", {"rows": 3, "columns": 2, "moves": "attention"}, ["rows=3", "columns=2"]),
        ("projective-tree", {"nodes": 0}, ["projective-tree", "nodes"]),
    ],
)
def test_options_out_of_range(name, options, words):
    with pytest.raises(ConfigurationError) as error:
        relaxit.get(name, **options)
    one_line(error, *words)


@ALL
def test_an_empty_batch_is_one(relaxation):
    leaf = torch.zeros(0, *relaxation.param_shape, requires_grad=True)
    soft, hard = relaxation(leaf, 0.5).draw((2,))
    q = relaxation.discrete(leaf)
    assert soft.shape == hard.shape == q.sample((2,)).shape == (2, 0, *relaxation.event_shape)
    assert q.mean.shape == q.mode.shape == (0, *relaxation.event_shape)
    assert q.log_prob(hard).shape == (2, 0)
    assert q.entropy().shape == relaxation.valid_params(leaf).shape == (0,)
    (q.entropy().sum() + soft.sum()).backward()
    assert leaf.grad.shape == leaf.shape


@ALL
def test_values_outside_have_no_mass(relaxation):
    known = listing(relaxation)
    q = relaxation.discrete(normal(*relaxation.param_shape))
    outside = [
        torch.zeros(relaxation.event_shape),
        torch.full(relaxation.event_shape, 2.0),
        known.values[0] + 1e-3,
        known.values[0] * torch.nan,
    ]
    if len(known.values) > 1:
        outside.append((known.values[0] + known.values[1]) / 2)
    for value in outside:
        assert not bool(relaxation.vertices.check(value))
        assert float(q.log_prob(value)) == -INF


@SOME
def test_vertices_are_recognised_among_all_bits(relaxation):
    known = listing(relaxation)
    size = known.values[0].numel()
    listed = known.values.flatten(1)
    bits = (torch.rand(500, size, generator=torch.Generator().manual_seed(3)) < 0.4).double()
    near = listed.clone()
    near[torch.arange(len(near)), torch.arange(len(near)) % size] -= 1  # one bit flipped
    bits = torch.cat([bits, near.abs(), known.values.flatten(1)]).reshape(
        -1, *known.values.shape[1:]
    )
    same = (bits.unsqueeze(1) == known.values).flatten(2).all(-1).any(-1)
    assert torch.equal(relaxation.vertices.check(bits), same)
    assert 0 < int(same.sum()) < len(bits)


@SOME
def test_divergences_between_different_structures(relaxation):
    categorical = relaxit.get("categorical", categories=3)
    q = relaxation.discrete(torch.zeros(relaxation.param_shape))
    with pytest.raises(Unsupported) as error:
        kl_divergence(q, categorical.discrete(torch.zeros(3)))
    one_line(error, repr(relaxation))


def test_too_many_values_to_list():
    chain = relaxit.get("chain", length=20, states=2)
    q = chain.discrete(torch.zeros(chain.param_shape))
    assert not q.has_enumerate_support
    with pytest.raises(Unsupported) as error:
        q.enumerate_support()
    one_line(error, "chain", "too many to list")


@pytest.mark.parametrize(
    "name", ["chain", "gumbel-crf", "segmentation", "alignment", "projective-tree"]
)
def test_absent_quantities(name):
    relaxation = type(relaxit.relaxations()[name].examples()[0]).examples()[0]
    q = relaxation(torch.zeros(relaxation.param_shape))
    with pytest.raises(Unsupported) as error:
        q.log_prob(q.rsample())
    one_line(error, name, "density")
