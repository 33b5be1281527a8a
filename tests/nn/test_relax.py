"""``Relax`` as a layer: relaxed while training, an exact draw otherwise."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import relaxit
from relaxit import ConfigurationError, DomainError, Estimator, Relax, Unsupported
from relaxit.estimators.straight_through import StraightThrough
from relaxit.testing import count_values, wrong_frequencies
from tests.toy_relaxations import Rows

BUILT_IN = ["pathwise", "straight-through", "st-gumbel"]


def network(**settings):
    return nn.Sequential(
        nn.Linear(8, 6),
        nn.Unflatten(-1, (2, 3)),
        Relax("categorical", categories=3, **settings),
        nn.Flatten(-2),
        nn.Linear(6, 4),
    )


@pytest.mark.parametrize("estimator", BUILT_IN)
def test_trains_inside_sequential(estimator):
    net = network(estimator=estimator, temperature=0.5)
    out = net(torch.randn(5, 8))
    assert out.shape == (5, 4)
    out.square().sum().backward()
    assert all(float(p.grad.abs().sum()) > 0 for p in net.parameters())


@pytest.mark.parametrize("learn", [False, True])
@pytest.mark.parametrize("estimator", BUILT_IN)
def test_train_is_the_estimator(estimator, learn):
    layer = Relax("categorical", 0.5, estimator, learn, categories=3)
    params = torch.randn(20, 3, requires_grad=True)
    torch.manual_seed(3)
    got = layer(params)
    torch.manual_seed(3)
    want = relaxit.estimator(estimator).sample(layer.relaxation(params, layer.temperature))
    assert torch.equal(got, want)
    assert got.requires_grad


@pytest.mark.parametrize("estimator", BUILT_IN)
def test_eval_is_an_exact_vertex_without_gradient(estimator):
    layer = Relax("categorical", 5.0, estimator, categories=3).eval()
    params = torch.randn(3, requires_grad=True)
    value = layer(params.expand(50_000, 3))
    assert not value.requires_grad
    assert bool(relaxit.constraints.one_hot.check(value).all())
    # From the discrete distribution, whatever the temperature. alpha = 2e-5.
    observed = count_values(value, torch.eye(3))
    assert not wrong_frequencies(observed, params.softmax(-1))
    assert wrong_frequencies(observed, (params / 5).softmax(-1))


def test_eval_of_a_relaxation_without_a_discrete_distribution():
    value = Relax(Rows()).eval()(torch.randn(100, 2, 3, requires_grad=True))
    assert not value.requires_grad
    assert bool(relaxit.constraints.one_hot.check(value).all())


@pytest.mark.parametrize("estimator", ["pathwise", "st-gumbel", "straight-through"])
def test_learned_temperature_gets_a_gradient(estimator):
    layer = Relax("categorical", 0.7, estimator, learn_temperature=True, categories=3)
    assert float(layer.temperature.detach()) == pytest.approx(0.7)
    assert [name for name, _ in layer.named_parameters()] == ["log_temperature"]
    layer(torch.randn(10, 3))[:, 0].square().sum().backward()
    assert float(layer.log_temperature.grad.abs()) > 0


def test_fixed_temperature_is_a_buffer():
    layer = Relax("categorical", 0.7, categories=3)
    assert list(layer.parameters()) == []
    assert set(layer.state_dict()) == {"fixed_temperature"}


@pytest.mark.parametrize("learn", [False, True])
def test_set_temperature_in_place(learn):
    layer = Relax("categorical", learn_temperature=learn, categories=3)
    held = next(iter(layer.state_dict().values()))
    place = held.data_ptr()
    layer.set_temperature(0.25)
    assert float(layer.temperature.detach()) == pytest.approx(0.25)
    assert next(iter(layer.state_dict().values())).data_ptr() == place
    assert layer.temperature.requires_grad == learn
    torch.manual_seed(3)
    got = layer(torch.zeros(50, 3))
    torch.manual_seed(3)
    want = layer.relaxation(torch.zeros(50, 3), 0.25).rsample()
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize("learn", [False, True])
def test_state_dict_keeps_the_temperature(learn, tmp_path):
    net = network(temperature=0.3, learn_temperature=learn)
    net[2].set_temperature(0.15)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    again = network(temperature=5.0, learn_temperature=learn)
    again.load_state_dict(torch.load(tmp_path / "net.pt", weights_only=True))
    assert torch.equal(again[2].temperature, net[2].temperature)


@pytest.mark.parametrize("bad", [0, -1.0, math.nan, math.inf])
def test_bad_temperature(bad):
    with pytest.raises(DomainError):
        Relax("categorical", temperature=bad, categories=3)
    layer = Relax("categorical", temperature=0.5, categories=3)
    with pytest.raises(DomainError):
        layer.set_temperature(bad)
    assert float(layer.temperature) == 0.5


def test_bad_temperature_in_a_state_dict_is_seen_at_the_next_use():
    layer = Relax("categorical", categories=3)
    layer.load_state_dict({"fixed_temperature": torch.tensor(0.0)})
    with pytest.raises(DomainError):
        layer(torch.zeros(3))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("training", [True, False])
def test_dtype_follows_the_params(dtype, training):
    layer = Relax("categorical", 0.5, "st-gumbel", categories=3).to(dtype).train(training)
    assert layer(torch.zeros(4, 3, dtype=dtype)).dtype == dtype


def test_names_options_and_errors():
    assert Relax("categorical", categories=3).relaxation == relaxit.get("categorical", categories=3)
    with pytest.raises(relaxit.UnknownName, match="categorical"):
        Relax("categorcal", categories=3)
    with pytest.raises(relaxit.UnknownName, match="pathwise"):
        Relax("categorical", estimator="pathwize", categories=3)
    with pytest.raises(ConfigurationError, match="categries"):
        Relax("categorical", categries=3)
    with pytest.raises(ConfigurationError, match="categories"):
        Relax("categorical", categories=0)
    with pytest.raises(Unsupported, match="straight-through"):
        Relax(Rows(), estimator=StraightThrough())
    assert "categories=3" in repr(Relax("categorical", categories=3))


def test_options_of_a_relaxation_given_as_an_object_are_not_dropped():
    with pytest.raises((TypeError, ConfigurationError)):
        Relax(Rows(), rows=7)


def test_estimator_that_does_not_act_through_a_sample():
    class Score(Estimator):
        api = 1
        name = "test-score"
        hard = True

        def surrogate(self, q, cost, generator=None):
            raise NotImplementedError

    with pytest.raises(Unsupported, match="test-score"):
        Relax("categorical", estimator=Score(), categories=3)


@pytest.mark.parametrize("learn", [False, True])
def test_the_first_temperature_may_be_a_tensor(learn):
    layer = Relax("categorical", torch.tensor(0.25), learn_temperature=learn)
    assert float(layer.temperature) == pytest.approx(0.25)
    with pytest.raises(DomainError, match="temperature must be finite and > 0"):
        Relax("categorical", torch.tensor(-1.0))


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("learn", [False, True])
def test_a_tensor_that_is_no_temperature_is_rejected(learn, bad):
    layer = Relax("categorical", 0.5, learn_temperature=learn)
    with pytest.raises(DomainError, match="temperature must be finite and > 0"):
        layer.set_temperature(torch.tensor(bad))
    assert float(layer.temperature) == pytest.approx(0.5)
