"""Models with the layer as ONNX programs, run by onnxruntime."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

import relaxit
from relaxit import Relax
from relaxit.plugins import relaxations
from relaxit.testing import wrong_frequencies
from relaxit.training.runs import open_model
from tests.scripts import EXAMPLES, run

onnxruntime = pytest.importorskip("onnxruntime", reason="pip install relaxit-framework[onnx]")
pytest.importorskip("onnxscript", reason="pip install relaxit-framework[onnx]")

OPTIONS = {
    "categorical": {"categories": 4},
    "binary": {},
    "subset": {"n": 5, "k": 2},
    "subset-plackett-luce": {"n": 5, "k": 2},
    "permutation-plackett-luce": {"n": 3},
}
SOLVED = {"permutation": {"n": 3}, "matching": {"rows": 2, "columns": 3}}


def needs(structure: str) -> None:
    if structure not in relaxations():
        pytest.skip(f"no package with {structure!r} is installed")


def exported(model: nn.Module, x: torch.Tensor, path: Path):
    """The session of a program for batches of any size."""
    size = ({0: torch.export.Dim("batch", min=1)},)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a model in training mode
        program = torch.onnx.export(model, (x,), dynamo=True, dynamic_shapes=size, verbose=False)
    program.save(path)
    session = onnxruntime.InferenceSession(path)
    (given,) = session.get_inputs()
    return lambda x: torch.from_numpy(session.run(None, {given.name: x.numpy()})[0])


def params(structure: str, rows: int) -> torch.Tensor:
    shape = relaxit.get(structure, **{**OPTIONS, **SOLVED}[structure]).param_shape
    return torch.randn(rows, *shape, generator=torch.Generator().manual_seed(rows))


EVERY = pytest.mark.parametrize("structure", OPTIONS)


@EVERY
@pytest.mark.parametrize("evaluate", ["mode", "mean"])
def test_modes_and_means_are_those_of_torch(structure, evaluate, tmp_path):
    needs(structure)
    layer = Relax(structure, evaluate=evaluate, **OPTIONS[structure]).eval()
    run = exported(layer, params(structure, 7), tmp_path / "layer.onnx")
    for rows in (1, 20):
        x = params(structure, rows)
        torch.testing.assert_close(run(x), layer(x), rtol=1e-6, atol=1e-6)


@EVERY
def test_samples_have_the_right_means(structure, tmp_path):
    needs(structure)
    layer = Relax(structure, **OPTIONS[structure]).eval()
    run = exported(layer, params(structure, 7), tmp_path / "layer.onnx")
    one = params(structure, 1)[0]
    q = relaxit.get(structure, **OPTIONS[structure])(one)
    drawn = run(one.expand(40_000, *one.shape).contiguous())
    assert bool(q.relaxation.vertices.check(drawn).all())
    for frequency, mean in zip(drawn.sum(0).flatten(), q.discrete.mean.flatten(), strict=True):
        counts = torch.stack([frequency, len(drawn) - frequency])
        assert not wrong_frequencies(counts, torch.stack([mean, 1 - mean]))
    again = run(one.expand(40_000, *one.shape).contiguous())
    assert not torch.equal(again, drawn)


@EVERY
@pytest.mark.parametrize("estimator", ["pathwise", "st-gumbel"])
def test_relaxed_samples_are_exported_too(structure, estimator, tmp_path):
    needs(structure)
    layer = Relax(structure, 0.5, estimator, **OPTIONS[structure])
    run = exported(layer, params(structure, 7), tmp_path / "layer.onnx")
    drawn = run(params(structure, 500))
    check = layer.relaxation.support if estimator == "pathwise" else layer.relaxation.vertices
    assert bool(check.check(drawn).all())
    assert not torch.equal(drawn, run(params(structure, 500)))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("structure", SOLVED)
def test_what_scipy_or_a_linear_solver_computes_is_an_error(structure, training, tmp_path):
    needs(structure)
    layer = Relax(structure, **SOLVED[structure]).train(training)
    with pytest.raises(Exception, match="Failed to export") as error:
        exported(layer, params(structure, 3), tmp_path / "layer.onnx")
    assert isinstance(error.value.__cause__, relaxit.Unsupported)
    assert re.search(r"cannot be exported to ONNX", str(error.value.__cause__))
    assert "\n" not in str(error.value.__cause__)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs") / "first"
    code = "from _relaxit_cli import main; main()"
    command = ["train", "--dataset", "digits", "--epochs", "1", "--out", str(directory)]
    subprocess.run([sys.executable, "-c", code, *command], check=True, capture_output=True)
    return directory


def test_the_decoder_of_a_run_decodes_the_same(trained, tmp_path):
    model = open_model(trained, device="cpu").model
    draws = torch.Generator().manual_seed(0)
    latents, categories = model.params_shape
    codes = torch.eye(categories)[torch.randint(categories, (30, latents), generator=draws)]
    run = exported(nn.Sequential(nn.Flatten(-2), model.decoder), codes[:3], tmp_path / "d.onnx")
    with torch.no_grad():
        torch.testing.assert_close(run(codes), model.decode(codes), rtol=1e-5, atol=1e-5)


def test_the_example_runs(trained, tmp_path):
    printed = run("export_onnx.py", str(trained), cwd=tmp_path)
    assert re.search(r"^16 images of 64 pixels, mean 0\.\d\d$", printed, re.M)
    lines = (EXAMPLES / "export_onnx.py").read_text().splitlines()
    assert sum(bool(line.strip()) for line in lines) <= 30
