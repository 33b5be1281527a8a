"""What every layer of a model does: states, copies, devices, dtypes, compilers, temperatures."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from torch import nn

import relaxit
from relaxit import DomainError
from relaxit.nn import Codebook, HardConcreteGates, TopKRouter


def gates(**settings):
    return HardConcreteGates(6, open_probability=0.8, **settings)


def router(**settings):
    return TopKRouter(6, 4, 2, **settings)


def router_of_one(**settings):
    return TopKRouter(6, 4, 1, **settings)


def codebook(**settings):
    return Codebook(6, 3, **settings)


def hard_codebook(**settings):
    return Codebook(6, 3, estimator="st-gumbel", **settings)


needs_subset = pytest.mark.skipif(
    "subset" not in relaxit.relaxations(), reason="relaxit-subset is not installed"
)
EACH = pytest.mark.parametrize(
    "build",
    [gates, pytest.param(router, marks=needs_subset), router_of_one, codebook, hard_codebook],
)
MODES = pytest.mark.parametrize("training", [True, False])


def value_of(module, x):
    """The output as one tensor."""
    found = module(x)
    return (
        torch.cat([t.flatten().to(x.dtype) for t in found]) if isinstance(found, tuple) else found
    )


def seeded_value(module, x):
    torch.manual_seed(1)
    return value_of(module, x)


@EACH
@MODES
def test_state_dict_copies_and_pickles(build, training):
    module, x = build().train(training), torch.randn(5, 6)
    module.set_temperature(0.4)
    seeded_value(module, x)  # usage has changed
    stored = io.BytesIO()
    torch.save(module.state_dict(), stored)
    stored.seek(0)
    loaded = build().train(training)
    loaded.load_state_dict(torch.load(stored, weights_only=True))
    copies = [loaded, copy.deepcopy(module), pickle.loads(pickle.dumps(module))]
    want = seeded_value(module, x)
    for each in copies:
        assert torch.equal(each.temperature, module.temperature)
        assert torch.equal(seeded_value(each, x), want)


@EACH
def test_temperature_may_change_between_forward_and_backward(build):
    start, x, slopes = build(), torch.randn(5, 6), []
    for change in (False, True):
        module = copy.deepcopy(start)
        value = seeded_value(module, x).square().sum()
        if change:
            module.temperature = 0.1
        value.backward()
        slopes.append([p.grad for p in module.parameters()])
    assert float(module.temperature) == pytest.approx(0.1)
    for one, other in zip(*slopes, strict=True):
        assert torch.equal(one, other)


@EACH
@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_temperatures(build, bad):
    module = build()
    before = float(module.temperature)
    with pytest.raises(DomainError, match="temperature"):
        module.set_temperature(bad)
    with pytest.raises(DomainError, match="temperature"):
        module.temperature = bad
    assert float(module.temperature) == before
    with pytest.raises(DomainError, match="temperature"):
        build(temperature=bad)


@EACH
def test_parameters_are_not_scalars_and_all_get_a_gradient(build):
    module = build()
    value_of(module, torch.randn(5, 6)).square().sum().backward()
    found = list(module.parameters())
    assert found
    assert all(p.dim() > 0 and bool(p.grad.isfinite().all()) for p in found)
    assert all(bool(p.grad.any()) for p in found)


@EACH
@MODES
def test_evaluation_is_deterministic_and_training_is_not(build, training):
    module, x = build().train(training), torch.randn(20, 6)
    assert torch.equal(value_of(module, x), value_of(module, x)) != training


@EACH
def test_generator(build):
    x, drawn = torch.randn(20, 6), []
    for number in (1, 1, 2):
        module = build(generator=torch.Generator().manual_seed(number))
        with torch.no_grad():
            for i, parameter in enumerate(module.parameters()):
                parameter.copy_(torch.linspace(-1, 1 + i, parameter.numel()).view_as(parameter))
        drawn.append(value_of(module, x).detach())
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@EACH
@MODES
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtypes(build, training, dtype):
    module = build().train(training).to(dtype)
    found = module(torch.randn(5, 6, dtype=dtype))
    value = found.weights if isinstance(found, tuple) else found
    assert value.dtype == dtype
    assert bool(value.isfinite().all())


@EACH
@MODES
def test_autocast_keeps_the_choice(build, training):
    module, x = build().train(training), torch.randn(5, 6)
    want = seeded_value(module, x)
    with torch.autocast("cpu", torch.bfloat16):
        got = seeded_value(module, x)
    # The code vectors of a sample are a matrix product, which autocast rounds.
    rounded = training and isinstance(module, Codebook)
    torch.testing.assert_close(got.float(), want, rtol=0, atol=0.03 if rounded else 0)


@EACH
def test_meta_device(build):
    module = build(device="meta")
    assert all(p.is_meta for p in module.parameters())
    module = module.to_empty(device="cpu")
    for each in module.modules():
        if hasattr(each, "reset_parameters"):
            each.reset_parameters()
    module.set_temperature(1.0)
    assert bool(value_of(module, torch.randn(5, 6)).isfinite().all())
    everything = build().to("meta")
    assert value_of(everything, torch.randn(5, 6, device="meta")).is_meta


@EACH
@MODES
def test_empty_batches(build, training):
    found = build().train(training)(torch.zeros(0, 6))
    value = found.weights if isinstance(found, tuple) else found
    assert value.shape[0] == 0


@EACH
@MODES
def test_compiled_in_one_graph(build, training):
    module, x = build().train(training), torch.randn(5, 6)
    again = copy.deepcopy(module)
    torch.compiler.reset()
    compiled = torch.compile(again, fullgraph=True, backend="aot_eager")
    want, got = seeded_value(module, x), seeded_value(compiled, x)
    torch.testing.assert_close(got, want)
    want.square().sum().backward()
    got.square().sum().backward()
    for one, other in zip(module.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


@EACH
def test_exported_in_evaluation(build):
    module, x = build().eval(), torch.randn(5, 6)
    batch = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(module, (x,), strict=False, dynamic_shapes=batch).module()
    longer = torch.randn(9, 6)
    torch.testing.assert_close(value_of(program, longer), value_of(module, longer))


@EACH
def test_checkpointed_gradients_are_those_of_one_pass(build):
    module, slopes = build(), []
    x = torch.randn(5, 6)
    for through in (torch.utils.checkpoint.checkpoint, lambda f, x, **_: f(x)):
        again = copy.deepcopy(module)
        torch.manual_seed(1)
        through(lambda x, again=again: value_of(again, x), x, use_reentrant=False).sum().backward()
        slopes.append([p.grad for p in again.parameters()])
    for one, other in zip(*slopes, strict=True):
        torch.testing.assert_close(one, other)


@EACH
def test_inside_a_model(build):
    module = build()
    net = nn.Sequential(nn.Linear(8, 6), module)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    before = [p.detach().clone() for p in net.parameters()]
    for _ in range(2):
        optimizer.zero_grad()
        value_of(net, torch.randn(5, 8)).square().sum().backward()
        optimizer.step()
    assert all(not torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    assert repr(net)
