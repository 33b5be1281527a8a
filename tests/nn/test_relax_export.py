"""Models with the layer, exported by ``torch.export``: they run where only PyTorch is installed."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

import relaxit
from relaxit import Relax, Unsupported
from relaxit.estimators import SampleEstimator
from relaxit.noise import Handle
from relaxit.plugins import default_registry
from relaxit.testing import wrong_frequencies

STRUCTURES = {"categorical": {"categories": 3}, "binary": {}}
FEW = ("pathwise", "gumbel-rao", "learned", "sample", "mode", "mean")
SAMPLERS = sorted(
    name
    for name, cls in default_registry().items("estimator").items()
    if issubclass(cls, SampleEstimator) and cls.__module__.startswith("relaxit.")
)
EVERY = pytest.mark.parametrize("structure", STRUCTURES)
BATCH = {"x": {0: torch.export.Dim("batch", min=1, max=100_000)}}
RUN = """
import pathlib, sys, torch
for path in map(pathlib.Path, sys.argv[1:]):
    program = torch.export.load(path).module()
    torch.manual_seed(1)
    values = [program(torch.linspace(-1, 1, 4 * n).view(n, 4)) for n in (1, 5)]
    torch.save(values, path.with_suffix(".pt"))
assert not [name for name in sys.modules if name.startswith("relaxit")]
"""


class Model(nn.Module):
    def __init__(self, structure: str, **settings) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Linear(4, 6)
        self.shape = (2, 3)
        self.relax = Relax(structure, 0.5, **STRUCTURES[structure], **settings)

    def forward(self, x):
        return self.relax(self.net(x).unflatten(-1, self.shape))


def exported(model: nn.Module, strict: bool = False) -> torch.export.ExportedProgram:
    given = torch.zeros(3, 4)
    return torch.export.export(model, (given,), dynamic_shapes=BATCH, strict=strict)


def models(structure: str) -> dict[str, nn.Module]:
    modes = {mode: Model(structure, evaluate=mode).eval() for mode in ("sample", "mode", "mean")}
    learned = Model(structure, learn_temperature=True)
    return {**{n: Model(structure, estimator=n) for n in SAMPLERS}, **modes, "learned": learned}


EVERY_MODEL = pytest.mark.parametrize(
    ("structure", "name"), [(s, name) for s in STRUCTURES for name in models(s)]
)


def values_and_gradients(model, x):
    torch.manual_seed(1)
    model.zero_grad()
    value = model(x)
    if value.requires_grad:
        (value * torch.linspace(-1, 1, value.numel()).view(value.shape)).sum().backward()
    return value.detach(), {k: p.grad for k, p in model.named_parameters() if p.grad is not None}


@EVERY_MODEL
def test_values_and_gradients_are_those_of_eager_code(structure, name):
    model, x = models(structure)[name], torch.linspace(-1, 1, 20).view(5, 4)
    value, slopes = values_and_gradients(exported(model).module(), x)
    want, right = values_and_gradients(model, x)
    torch.testing.assert_close(value, want)
    assert slopes.keys() == right.keys()
    for parameter, slope in slopes.items():
        torch.testing.assert_close(slope, right[parameter], msg=parameter)


@EVERY_MODEL
def test_each_call_draws_new_noise(structure, name):
    program, x = exported(models(structure)[name]).module(), torch.zeros(50, 4)
    assert torch.equal(program(x), program(x)) == (name in ("mode", "mean"))


def test_programs_run_where_only_torch_is_imported(tmp_path):
    every = {f"{s}-{name}": models(s)[name] for s in STRUCTURES for name in FEW}
    for name, model in every.items():
        torch.export.save(exported(model), tmp_path / f"{name}.pt2")
    command = [sys.executable, "-W", "ignore", "-c", RUN, *map(str, tmp_path.glob("*.pt2"))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name, model in every.items():
        torch.manual_seed(1)
        want = [model(torch.linspace(-1, 1, 4 * n).view(n, 4)) for n in (1, 5)]
        for value, wanted in zip(torch.load(tmp_path / f"{name}.pt"), want, strict=True):
            torch.testing.assert_close(value, wanted, msg=name)


@pytest.mark.skipif(
    torch.__version__ < "2.12", reason="the compiler does not tell whether it exports"
)
@EVERY
@pytest.mark.parametrize("name", ["pathwise", "st-gumbel", "sample", "mode", "mean"])
def test_so_they_do_if_the_compiler_reads_the_source(structure, name):
    model, x = models(structure)[name], torch.linspace(-1, 1, 20).view(5, 4)
    program = exported(model, strict=True)
    assert "relaxit" not in {str(node.target).split(".")[0] for node in program.graph.nodes}
    value, want = (values_and_gradients(m, x)[0] for m in (program.module(), model))
    torch.testing.assert_close(value, want)


@EVERY
def test_a_program_has_operators_of_torch_only(structure):
    for name, model in models(structure).items():
        targets = {str(node.target) for node in exported(model).graph.nodes}
        assert not [target for target in targets if "relaxit" in target], name


def test_exported_samples_have_the_right_frequencies():
    model = Model("categorical", evaluate="sample").eval()
    program = exported(model).module()
    x = torch.linspace(-1, 1, 4).expand(100_000, 4)
    torch.manual_seed(3)
    counts = program(x).sum(0)
    logits = model.net(x[0]).view(2, 3)
    for observed, mass in zip(counts, logits.softmax(-1), strict=True):
        assert not wrong_frequencies(observed.detach(), mass.detach())


def test_a_program_is_a_point_of_departure_for_compile():
    program = exported(Model("categorical", evaluate="mean").eval()).module()
    torch.compiler.reset()
    compiled, x = torch.compile(program, fullgraph=True, backend="aot_eager"), torch.randn(7, 4)
    torch.testing.assert_close(compiled(x), program(x))


def test_full_precision_products_are_exported_without_our_operator():
    class Product(nn.Module):
        def forward(self, x):
            return relaxit.arithmetic.full_precision_matmul(x, x.mT)

    x = torch.randn(3, 4)
    program = torch.export.export(Product(), (x,))
    assert "relaxit" not in str(program.graph)
    torch.testing.assert_close(program.module()(x), x @ x.mT)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_generator_cannot_be_exported(structure, training):
    model = Model(structure, generator=torch.Generator()).train(training)
    with pytest.raises(Unsupported, match="generator= cannot be exported") as error:
        exported(model)
    assert "\n" not in str(error.value)
    model.relax.generator = None
    assert exported(model)


def test_nor_can_its_handle():
    class Draws(nn.Module):
        def forward(self, x):
            return x * relaxit.noise.uniform(x.shape, generator=handle)

    handle = Handle.of(torch.Generator())
    with pytest.raises(Unsupported, match="cannot be exported"):
        torch.export.export(Draws(), (torch.zeros(3),))
