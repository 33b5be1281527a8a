"""Inputs of any length and any dimension, masks, and what evaluation mode returns."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import relaxit
from relaxit import ConfigurationError, DomainError, Relax, ShapeError, Unsupported
from tests.nn.layers import EACH_STRUCTURE
from tests.toy_relaxations import Rows


def stated(relaxation):
    sizes = type(relaxation).sizes(relaxation.param_shape)
    return {key: value for key, value in relaxation.options if key not in sizes}


@EACH_STRUCTURE
def test_sizes_come_from_the_input(relaxation):
    layer = Relax(relaxation.name, 0.5, **stated(relaxation))
    sizes = type(relaxation).sizes(relaxation.param_shape)
    assert layer.unstated == tuple(sizes)
    for extra in (0, 3) if sizes else (0,):
        shape = [size + extra for size in relaxation.param_shape]
        params = torch.zeros(2, *shape)
        q = layer.distribution(params)
        grown = {key: size + extra for key, size in sizes.items()}
        assert dict(q.relaxation.options) == dict(relaxation.options) | grown
        assert layer(params).shape == (2, *q.event_shape)
    if sizes:
        with pytest.raises(ConfigurationError, match=r"layer\.distribution\(params\)\.relaxation"):
            _ = layer.relaxation
    else:
        assert layer.relaxation == relaxation


def test_a_batch_of_another_length_than_stated_is_rejected():
    layer = Relax("categorical", categories=50)
    with pytest.raises(ShapeError, match="37"):
        layer(torch.zeros(2, 37))


def test_one_layer_takes_lists_of_any_length_with_padding():
    layer = Relax("categorical", 0.5, "st-gumbel")
    for length in (1, 2, 37):
        mask = torch.arange(length) < torch.tensor([[1], [length]])
        scores = torch.randn(2, length, requires_grad=True)
        for training in (True, False):
            value = layer.train(training)(scores, mask)
            assert bool((value.sum(-1) == 1).all())
            assert not value[~mask].any()
    with pytest.raises(DomainError, match="every choice masked"):
        layer(torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.bool))


@pytest.mark.parametrize("dim", [0, 1, 2, -1, -2, -3])
@pytest.mark.parametrize("training", [False, True])
def test_a_dimension_of_its_own(dim, training):
    layer = Relax("categorical", 0.5, "straight-through", dim=dim).train(training)
    params = torch.randn(4, 5, 6)
    torch.manual_seed(0)
    value = layer(params)
    torch.manual_seed(0)
    last = Relax("categorical", 0.5, "straight-through").train(training)
    assert torch.equal(value, last(params.movedim(dim, -1)).movedim(-1, dim))
    assert layer.distribution(params).batch_shape == params.movedim(dim, -1).shape[:-1]


def test_dimensions_that_do_not_fit():
    with pytest.raises(ShapeError, match="dim="):
        Relax("categorical", dim=(0, 1))(torch.zeros(2, 3))
    with pytest.raises(IndexError):
        Relax("categorical", dim=4)(torch.zeros(2, 3))


# --- evaluation mode ------------------------------------------------------------------------------


@EACH_STRUCTURE
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_the_mode_is_deterministic_and_the_most_probable(relaxation, dtype):
    layer = Relax(relaxation, 0.5, evaluate="mode").eval()
    params = torch.randn(20, *relaxation.param_shape, dtype=dtype, requires_grad=True)
    value = layer(params)
    assert value.dtype == dtype
    assert not value.requires_grad
    assert torch.equal(value, layer(params))
    assert bool(relaxation.vertices.check(value).all())
    if relaxation.capabilities.discrete_distribution and dtype == torch.float64:
        discrete = relaxation.discrete(params)
        mass = discrete.log_prob(relaxation.enumerate_vertices().to(dtype).unsqueeze(1))
        torch.testing.assert_close(discrete.log_prob(value), mass.amax(0))


def test_the_mode_without_a_discrete_distribution_is_the_best_vertex():
    params = torch.randn(50, 2, 3)
    value = Relax(Rows(), evaluate="mode").eval()(params)
    torch.testing.assert_close((params * value).sum(-1), params.amax(-1))


@EACH_STRUCTURE
def test_the_mean_is_that_of_all_values_with_its_gradient(relaxation):
    if not relaxation.capabilities.discrete_distribution:
        with pytest.raises(Unsupported, match="has no discrete distribution and so no mean"):
            Relax(relaxation, evaluate="mean")
        return
    layer = Relax(relaxation, 0.5, evaluate="mean").eval()
    params = torch.randn(4, *relaxation.param_shape, dtype=torch.float64, requires_grad=True)
    value = layer(params)
    vertices = relaxation.enumerate_vertices().double()
    mass = relaxation.discrete(params).log_prob(vertices.unsqueeze(1)).exp()
    want = torch.einsum("nb,n...->b...", mass, vertices)
    torch.testing.assert_close(value, want)
    weights = torch.randn_like(want)
    got, expected = (
        torch.autograd.grad((x * weights).sum(), params, retain_graph=True)[0]
        for x in (value, want)
    )
    torch.testing.assert_close(got, expected)


def test_training_is_the_same_whatever_evaluation_returns():
    params = torch.randn(5, 3)
    drawn = []
    for evaluate in ("sample", "mode", "mean"):
        torch.manual_seed(0)
        drawn.append(Relax("categorical", 0.5, evaluate=evaluate)(params))
    assert torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[0], drawn[2])
    with pytest.raises(ConfigurationError, match="evaluate must be one of sample, mode, mean"):
        Relax("categorical", evaluate="argmax")


# --- temperature ----------------------------------------------------------------------------------


@pytest.mark.parametrize("learn", [False, True])
def test_the_temperature_can_be_assigned(learn):
    layer = Relax("categorical", learn_temperature=learn)
    for value in (0.25, torch.tensor(0.5), torch.tensor([0.75])):
        layer.temperature = value
        assert float(layer.temperature.detach()) == pytest.approx(float(value))
    with pytest.raises(DomainError):
        layer.temperature = -1.0
    assert float(layer.temperature.detach()) == pytest.approx(0.75)
    assert layer.temperature.requires_grad == learn


def test_annealing_in_a_loop_with_save_and_load(tmp_path):
    model = nn.Sequential(nn.Linear(4, 6), nn.Unflatten(-1, (2, 3)), Relax("categorical"))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for step in range(5):
        model[2].temperature = max(0.5, 0.9**step)
        optimizer.zero_grad()
        model(torch.randn(8, 4)).square().sum().backward()
        optimizer.step()
    torch.save(model.state_dict(), tmp_path / "model.pt")
    again = nn.Sequential(nn.Linear(4, 6), nn.Unflatten(-1, (2, 3)), Relax("categorical"))
    again.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    x = torch.randn(8, 4)
    torch.manual_seed(0)
    want = model(x)
    torch.manual_seed(0)
    assert torch.equal(again(x), want)
    assert float(again[2].temperature) == pytest.approx(0.9**4)


def test_help_and_repr_name_what_was_given():
    layer = Relax("categorical", dim=1, evaluate="mode")
    assert repr(layer) == ("Relax('categorical', dim=(1,), estimator='pathwise', evaluate='mode')")
    assert "Categorical(categories=3)" in repr(Relax("categorical", categories=3))


def test_the_field_s_names():
    q = Relax("gumbel-softmax").distribution(torch.zeros(2, 3))
    assert q.relaxation == relaxit.get("categorical", categories=3)
