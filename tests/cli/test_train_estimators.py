"""Every registered estimator trains every registered relaxation, or says why not in one line."""

from __future__ import annotations

import functools
import json
import os

import pytest
import torch

import relaxit
from relaxit.cli.app import run
from relaxit.errors import Unsupported
from relaxit.plugins.registry import default_registry
from relaxit.training.assembly import build_task
from relaxit.training.building import build
from relaxit.training.trainer import Trainer
from tests.helpers import own_classes
from tests.training.small import small_config

RELAXATIONS = sorted(default_registry().items("relaxation"))
ESTIMATORS = sorted(default_registry().items("estimator"))
OWN = sorted(cls.name for cls in own_classes("estimator"))
MISSING = (
    "discrete distribution",
    "logits of",
    "capability conditional",
    "capability exact_rounding",
    "PerturbAndRelax",
    "argmax of",
    "known density",
    "list of values",
    "joint values",
    "noise on all params",
)
"""What an error may name: words of every capability that some estimator asks for."""


@functools.cache
def smallest(name):
    """The example with the fewest values, as a configuration has it."""
    cls = default_registry().find("relaxation", name)
    built = min(cls.examples(), key=lambda r: torch.Size(r.param_shape).numel())
    return {"name": name, "options": built.options.model_dump(mode="json")}


def configuration(relaxation, estimator, **more):
    fields = default_registry().find("estimator", estimator).Options.model_fields
    options = {"draws": 3} if "draws" in fields else {}
    chosen = {"estimator": {"name": estimator, "options": options}, "latents": 2}
    return small_config({"relaxation": smallest(relaxation)}, chosen, more)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_every_pair_trains_or_names_what_is_missing(relaxation, estimator):
    config = configuration(relaxation, estimator)
    if (error := unsupported(config)) is not None:
        text = str(error)
        assert "\n" not in text
        assert relaxation in text or repr_name(relaxation) in text
        assert repr(estimator) in text
        assert any(words in text for words in MISSING), text
        assert error.exit_code == 2
        return
    experiment = build(config)
    trainer = Trainer(experiment)
    before = [p.detach().clone() for p in experiment.model.parameters()]
    encoder = next(iter(experiment.model.parameters()))
    for _ in range(4):  # what a network starts from 0 behind has no gradient in the first
        trainer.train_step(torch.arange(40))
    assert float(encoder.grad.abs().sum()) > 0
    for (name, now), then in zip(experiment.model.named_parameters(), before, strict=True):
        assert bool(now.isfinite().all()), name
        assert not torch.equal(now, then), name


def unsupported(config):
    try:
        build_task(config)
    except Unsupported as error:
        return error
    return None


def repr_name(name):
    return type(default_registry().find("relaxation", name).examples()[0]).__name__


def test_what_trains_where():
    """Which pairs are unsupported is a fact of the capabilities; none is so by accident."""

    def works(relaxation, estimator):
        try:
            relaxit.estimator(estimator).check(relaxation)
        except Unsupported:
            return False
        return True

    for name in ("categorical", "binary"):
        relaxation = default_registry().find("relaxation", name).examples()[-1]
        unsupported = {e for e in OWN if not works(relaxation, e)}
        assert unsupported == ({"arm", "disarm"} if name == "categorical" else set())


@pytest.mark.parametrize("estimator", ["relax", "exact", "gumbel-rao"])
def test_command_trains_with_it(estimator, capsys):
    small = "--relaxation binary --latents 3 --epochs 1 --batch-size 600 --device cpu --json"
    assert run(["train", *small.split(), "--estimator", estimator, "--out", "run"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert -300 < found["test_elbo_discrete"] < 0


@pytest.mark.parametrize(
    ("estimator", "options", "said"),
    [
        ("disarm", [], "logits of independent bits"),
        ("exact", ["--latents", "20"], "more than states = 4096"),
        ("exact", ["--estimator-option", "states=2"], "more than states = 2"),
    ],
)
def test_command_rejects_in_one_line(capsys, estimator, options, said):
    flags = ["--relaxation", "categorical", "-o", "categories=3", "--estimator", estimator]
    assert run(["train", *flags, *options, "--out", "run"]) == 2
    shown = capsys.readouterr().err.strip()
    assert said in shown
    assert estimator in shown
    assert len(shown.splitlines()) == 1
    assert not os.path.exists("run")
