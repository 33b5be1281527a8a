"""What modules are expected to survive: for every structure with every estimator."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import relaxit
from relaxit import ConfigurationError, Relax, Unsupported
from relaxit.nn.relax import Relax as Layer
from tests.nn.layers import EACH_PAIR, EACH_STRUCTURE, PAIRS


def params_of(relaxation, rows=3):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(rows, *relaxation.param_shape, generator=generator).requires_grad_()


def gradient(value, params, seed=0):
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(value.shape, generator=generator)
    params.grad = None
    (value * weights).sum().backward()  # checkpoint with use_reentrant does not allow grad()
    return params.grad


@pytest.mark.parametrize("learn", [False, True])
@EACH_PAIR
def test_the_temperature_may_be_set_between_forward_and_backward(relaxation, estimator, learn):
    if learn and not learns(relaxation, estimator):
        pytest.skip("the temperature gets no gradient")
    layer, params = Relax(relaxation, 0.7, estimator, learn), params_of(relaxation)
    torch.manual_seed(0)
    want = gradient(layer(params), params)
    torch.manual_seed(0)
    value = layer(params)
    layer.set_temperature(0.1)
    assert torch.equal(gradient(value, params), want)
    assert float(layer.temperature.detach()) == pytest.approx(0.1)


def learns(relaxation, estimator):
    try:
        Relax(relaxation, estimator=estimator, learn_temperature=True)
    except ConfigurationError:
        return False
    return True


LEARNING = {(r.name, e.name) for r, e in PAIRS if learns(r, e)}


@EACH_PAIR
def test_a_temperature_is_learned_exactly_where_it_gets_a_gradient(relaxation, estimator):
    temperature = torch.tensor(0.7, requires_grad=True)
    found = False
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        params = torch.randn(50, *relaxation.param_shape, generator=generator)
        value = estimator.sample(relaxation(params, temperature))
        if value.requires_grad:
            weights = torch.randn(value.shape, generator=generator)
            (slope,) = torch.autograd.grad((value * weights).sum(), temperature, allow_unused=True)
            found = found or (slope is not None and bool(slope != 0))
    assert found == ((relaxation.name, estimator.name) in LEARNING)


@pytest.mark.parametrize("name", ["reinmax", "simple", "imle", "perturbed"])
def test_a_temperature_that_would_never_change_is_rejected(name):
    try:
        estimator = relaxit.estimator(name)
    except relaxit.UnknownName:
        pytest.skip("comes with a package that is not installed")
    with pytest.raises(ConfigurationError, match=f"learn_temperature: estimator '{name}' gives"):
        Relax("categorical", estimator=estimator, learn_temperature=True)


def test_trying_the_temperature_changes_no_random_state():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    Relax("categorical", learn_temperature=True)
    assert torch.equal(torch.get_rng_state(), before)
    with torch.inference_mode(), torch.device("meta"):
        layer = Relax("categorical", learn_temperature=True)
    assert layer.log_temperature.is_meta


def test_no_parameter_is_zero_dimensional():
    # torch.distributed.fsdp.fully_shard rejects those.
    layer = Relax("categorical", learn_temperature=True)
    assert [p.shape for p in layer.parameters()] == [torch.Size([1])]
    assert layer.temperature.dim() == 0


def test_a_state_of_earlier_versions_is_loaded():
    layer = nn.Sequential(Relax("categorical", learn_temperature=True))
    layer.load_state_dict({"0.log_temperature": torch.tensor(0.3).log()})
    assert float(layer[0].temperature.detach()) == pytest.approx(0.3)


def reloaded(layer, how):
    if how == "deepcopy":
        return copy.deepcopy(layer)
    if how == "pickle":
        return pickle.loads(pickle.dumps(layer))
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("how", ["deepcopy", "pickle", "torch.save"])
@EACH_PAIR
def test_a_copy_draws_the_same(relaxation, estimator, how):
    layer, params = Relax(relaxation, 0.5, estimator), params_of(relaxation)
    again = reloaded(layer, how)
    assert again.relaxation == relaxation
    for training in (True, False):
        torch.manual_seed(1)
        want = layer.train(training)(params)
        torch.manual_seed(1)
        assert torch.equal(again.train(training)(params), want)
    again.set_temperature(0.1)
    assert float(layer.temperature) == 0.5


@pytest.mark.parametrize("how", ["deepcopy", "pickle", "torch.save"])
def test_a_copy_has_a_generator_of_its_own(how):
    layer = Relax("categorical", generator=torch.Generator().manual_seed(5))
    again = reloaded(layer, how)
    assert again.generator is not layer.generator
    want = [layer(torch.zeros(2, 3)) for _ in range(2)]
    assert all(torch.equal(again(torch.zeros(2, 3)), value) for value in want)


@EACH_STRUCTURE
def test_a_generator_is_the_only_source(relaxation):
    params = params_of(relaxation, 50)
    layer = Relax(relaxation, 0.5, "st-gumbel", generator=torch.Generator())
    drawn = []
    for _ in range(2):
        layer.generator.manual_seed(3)
        torch.manual_seed(len(drawn))
        drawn.append((layer.train()(params), layer.eval()(params)))
    assert all(torch.equal(a, b) for a, b in zip(*drawn, strict=True))
    layer.generator = None
    torch.manual_seed(9)
    first = layer.train()(params)
    torch.manual_seed(9)
    assert torch.equal(layer(params), first)


@pytest.mark.parametrize("reentrant", [False, True])
@EACH_PAIR
def test_under_checkpointing_the_gradient_is_that_of_the_sample(relaxation, estimator, reentrant):
    layer, params = Relax(relaxation, 0.7, estimator), params_of(relaxation)
    torch.manual_seed(0)
    want = layer(params)
    torch.manual_seed(0)
    value = checkpoint(layer, params, use_reentrant=reentrant)
    assert torch.equal(value, want)
    torch.testing.assert_close(gradient(value, params), gradient(want, params))


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_generator_under_checkpointing_is_an_error(reentrant):
    layer = Relax("categorical", generator=torch.Generator())
    value = checkpoint(layer, torch.zeros(2, 3, requires_grad=True), use_reentrant=reentrant)
    with pytest.raises(Unsupported, match=r"torch\.utils\.checkpoint"):
        value.sum().backward()


@EACH_PAIR
def test_it_is_one_node_of_a_symbolic_trace(relaxation, estimator):
    model = nn.Sequential(nn.Identity(), Relax(relaxation, 0.5, estimator), nn.Identity())
    traced = torch.fx.symbolic_trace(model)
    assert "1" in [node.target for node in traced.graph.nodes]
    torch.manual_seed(0)
    want = model(params_of(relaxation))
    torch.manual_seed(0)
    assert torch.equal(traced(params_of(relaxation)), want)


def test_a_name_of_its_own_is_the_face():
    assert relaxit.nn.Relax is relaxit.Relax is Layer
