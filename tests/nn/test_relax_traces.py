"""Models with the layer under ``torch.jit.trace``, ``make_fx`` and ``aot_function``."""

from __future__ import annotations

import io
import warnings

import pytest
import torch
from functorch.compile import aot_function
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.flop_counter import FlopCounterMode

import relaxit
from relaxit import Relax
from relaxit.estimators import SampleEstimator
from relaxit.plugins import default_registry

STRUCTURES = {"categorical": {"categories": 3}, "binary": {}}
SAMPLERS = sorted(
    name
    for name, cls in default_registry().items("estimator").items()
    if issubclass(cls, SampleEstimator) and cls.__module__.startswith("relaxit.")
)
EVERY_LAYER = pytest.mark.parametrize(
    "layer",
    [Relax(s, 0.5, name, **o) for s, o in STRUCTURES.items() for name in SAMPLERS]
    + [Relax(s, evaluate="sample", **o).eval() for s, o in STRUCTURES.items()]
    + [Relax(s, evaluate="mean", **o).eval() for s, o in STRUCTURES.items()],
    ids=str,
)


class Model(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.scale, self.layer = nn.Parameter(torch.tensor([0.5, 1.0, -2.0])), layer

    def forward(self, x):
        return self.layer(x * self.scale)


def params(rows: int) -> torch.Tensor:
    return torch.randn(rows, 3, generator=torch.Generator().manual_seed(rows))


def traced(model: nn.Module) -> nn.Module:
    return torch.jit.trace(model, (params(7),), check_trace=False)


def value_and_slope(model, parameter, x) -> tuple[torch.Tensor, torch.Tensor | None]:
    torch.manual_seed(1)
    parameter.grad = None
    value = model(x)
    if value.requires_grad:
        (value * torch.linspace(-1, 1, value.numel()).view(value.shape)).sum().backward()
    return value.detach(), parameter.grad


@EVERY_LAYER
def test_a_trace_has_the_values_and_gradients_of_eager_code(layer):
    model = Model(layer)
    trace = traced(model)
    for _ in range(2):  # optimised after the first call
        got = value_and_slope(trace, trace.scale, params(11))
        want = value_and_slope(model, model.scale, params(11))
        torch.testing.assert_close(got, want)


@EVERY_LAYER
def test_a_trace_draws_new_noise(layer):
    trace, x = traced(Model(layer)), torch.zeros(50, 3)
    deterministic = layer.evaluate == "mean" and not layer.training
    assert torch.equal(trace(x), trace(x)) == deterministic


@EVERY_LAYER
def test_a_trace_can_be_saved(layer):
    trace, file, x = traced(Model(layer)), io.BytesIO(), params(4)
    torch.jit.save(trace, file)
    file.seek(0)
    loaded = torch.jit.load(file)
    torch.manual_seed(1)
    want = trace(x)
    torch.manual_seed(1)
    torch.testing.assert_close(loaded(x), want)


@pytest.mark.parametrize(
    ("structure", "options"), [("binary", {}), ("categorical", {"categories": 3})]
)
def test_no_number_is_read_while_a_trace_is_recorded(structure, options):
    """PyTorch warns of each: the trace would go the same way for other numbers."""
    temperature = torch.tensor(0.5)

    class Quantities(nn.Module):
        def forward(self, x):
            q = relaxit.get(structure, **options)(x, temperature)
            soft, hard = q.draw((2,))
            exact = q.discrete
            return soft, hard, q.sample_hard(), exact.entropy(), exact.mean, q.kl_to_uniform()

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", torch.jit.TracerWarning)
        trace = torch.jit.trace(Quantities(), (params(7),), check_trace=False)
    assert not [w for w in seen if issubclass(w.category, torch.jit.TracerWarning)]
    for got, want in zip(trace(params(5))[3:], Quantities()(params(5))[3:], strict=True):
        torch.testing.assert_close(got, want)


# These two record functions of tensors; a module would need its buffers as arguments.
SAMPLES = pytest.mark.parametrize("name", SAMPLERS)
EVERY = pytest.mark.parametrize("structure", STRUCTURES)


def sampled(structure: str, name: str, x: torch.Tensor) -> torch.Tensor:
    relaxation = relaxit.get(structure, **STRUCTURES[structure])
    return relaxit.estimator(name).sample(relaxation(x, 0.5))


@EVERY
@SAMPLES
def test_make_fx_records_the_values(structure, name):
    graph = make_fx(lambda x: sampled(structure, name, x), tracing_mode="symbolic")(params(7))
    torch.manual_seed(1)
    got = graph(params(11))
    torch.manual_seed(1)
    torch.testing.assert_close(got, sampled(structure, name, params(11)))
    assert not torch.equal(graph(params(50)), graph(params(50)))


@EVERY
@SAMPLES
def test_aot_function_has_the_values_and_gradients(structure, name):
    scale = torch.tensor([0.5, 1.0, -2.0], requires_grad=True)

    def run(factor, x):
        return sampled(structure, name, x * factor)

    compiled = aot_function(run, fw_compiler=lambda graph, inputs: graph)
    got = value_and_slope(lambda x: compiled(scale, x), scale, params(7))
    want = value_and_slope(lambda x: run(scale, x), scale, params(7))
    torch.testing.assert_close(got, want)


def test_a_mode_that_only_looks_does_not_turn_checks_off():
    with FlopCounterMode(display=False), pytest.raises(relaxit.DomainError):
        relaxit.get("binary")(torch.tensor([float("nan")]))
