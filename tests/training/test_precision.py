"""The precision of a run concerns its matrix products in training, and nothing else."""

from __future__ import annotations

import pytest
import torch

from relaxit.training.trainer import Trainer
from tests.conftest import needs_cuda
from tests.training.engines.comparison import apart, trained
from tests.training.small import small_experiment


def test_bfloat16_is_near_float32_and_not_the_same():
    plain, short = trained(), trained({"precision": "bfloat16"})
    assert 1e-6 < apart(plain, short) < 0.05
    assert {p.dtype for p in short.experiment.model.parameters()} == {torch.float32}


@pytest.mark.parametrize(("precision", "products"), [("float32", 0), ("bfloat16", 1)])
def test_only_products_are_bfloat16(precision, products, monkeypatch):
    seen, short = set(), []
    relaxation = type(small_experiment().relaxation)
    rsample, linear = relaxation.rsample, torch.nn.functional.linear

    def watch(self, params, *rest):
        seen.add(params.dtype)
        return rsample(self, params, *rest)

    def product(*args):
        found = linear(*args)
        short.append(found.dtype == torch.bfloat16)
        return found

    monkeypatch.setattr(relaxation, "rsample", watch)
    monkeypatch.setattr(torch.nn.functional, "linear", product)
    trainer = Trainer(small_experiment({"precision": precision}))
    trainer.train_step(torch.arange(300))
    assert seen == {torch.float32}
    assert trainer.totals.dtype == torch.float32
    assert set(short) == {bool(products)}
    short.clear()
    trainer.experiment.evaluate("test", 0)  # exact, whatever the training is
    assert set(short) == {False}


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_settings_of_products_are_given_back(precision):
    before = torch.backends.cuda.matmul.fp32_precision
    trained({"device": "cuda", "precision": precision}, epochs=1)
    assert torch.backends.cuda.matmul.fp32_precision == before
