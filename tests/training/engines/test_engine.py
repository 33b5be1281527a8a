"""The choice of an engine, what is said of it, and runs that change theirs."""

from __future__ import annotations

import pytest
import torch

from relaxit.cli.app import run
from relaxit.training.callbacks import SilentCallback
from relaxit.training.config import resolve
from relaxit.training.engines.engine import choose, expected_saving
from relaxit.training.stopping import StopRequest
from relaxit.training.trainer import Trainer
from tests.training.engines.comparison import LONG, SCHEDULES, state, trained
from tests.training.small import BASE, small_config, small_experiment


def test_a_short_run_is_not_compiled_a_long_one_is():
    short, long = (small_experiment(layer, {"engine": "auto"}) for layer in ({"epochs": 3}, LONG))
    assert choose(short)[0] == "eager"
    assert choose(long)[0] == "compile"
    assert expected_saving(long) == pytest.approx(expected_saving(short) * 100_000 / 3)


def test_a_relaxation_that_does_not_compile_is_not_compiled(monkeypatch):
    from dataclasses import replace

    long = small_experiment(LONG, {"engine": "auto"})
    able = replace(long.relaxation.capabilities, compiles=False)
    monkeypatch.setattr(type(long.relaxation), "capabilities", able)
    assert choose(long) == ("eager", f"relaxation {long.relaxation.name!r} does not compile")


def test_settings_of_before_there_were_engines_are_taken():
    saved = small_config().model_dump(mode="json")
    del saved["engine"], saved["precision"]
    config = resolve([saved])
    assert (config.engine, config.precision) == ("auto", "float32")
    assert BASE["engine"] == "eager"


def test_a_run_may_go_on_with_another_engine(uncompiled):
    whole = trained(SCHEDULES, epochs=3)
    saved = trained(SCHEDULES, epochs=2)
    saved.next_epoch()
    other = Trainer(small_experiment(SCHEDULES, {"engine": "compile"}))
    other.load_state_dict(saved.state_dict())
    other.run_epoch(SilentCallback(), StopRequest())
    assert other.engine.name == "compile"
    assert all(torch.equal(a, b) for a, b in zip(state(whole), state(other), strict=True))


def test_the_optimizer_keeps_its_own_settings_over_saved_ones():
    saved = trained(SCHEDULES, epochs=1).state_dict()
    for group in saved["optimizer"]["param_groups"]:
        assert isinstance(group["lr"], float)
        group["capturable"], group["fused"] = True, None  # as of a run on a GPU
    other = Trainer(small_experiment(SCHEDULES))
    other.load_state_dict(saved)
    (group,) = other.optimizer.param_groups
    assert group["fused"] is True
    assert group["capturable"] is False


class Told(SilentCallback):
    def __init__(self):
        self.heard = []

    def ready(self, engine, reason, seconds):
        self.heard.append((engine, reason, seconds > 0))


def test_the_first_step_is_reported_once():
    trainer, told = Trainer(small_experiment()), Told()
    for _ in range(2):
        trainer.run_epoch(told, StopRequest())
        trainer.next_epoch()
    assert told.heard == [("eager", "as requested", True)]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--engine", "graph"], r"--engine.*graph needs a CUDA device, this run is on cpu"),
        (["--engine", "fast"], r"--engine.*'eager'.*got 'fast'"),
        (["--precision", "tf32"], r"--precision.*tf32.*CUDA.*cpu"),
        (["--precision", "half"], r"--precision.*'bfloat16'.*got 'half'"),
        (["--precision", "bfloat16", "--recipe", "polynomial"], r"--precision.*polynomial"),
    ],
)
def test_wrong_values_are_one_line_and_leave_nothing(tmp_path, capsys, flags, said):
    import re

    out = tmp_path / "run"
    assert run(["train", *flags, "--device", "cpu", "--out", str(out), "--quiet"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(said, line)
    assert not out.exists()


def test_says_what_was_waited_for(tmp_path, capsys):
    out = str(tmp_path / "run")
    assert run(["train", "--epochs", "1", "--engine", "eager", "--out", out]) == 0
    (line,) = [each for each in capsys.readouterr().err.splitlines() if "ready in" in each]
    assert line.startswith("engine eager (as requested); ready in ")
    assert all(what in line for what in ("import", "data and model", "first step"))


def test_many_values_are_not_compiled_by_themselves():
    layers = {"estimator": {"name": "exact"}, "engine": "auto"}
    assert choose(small_experiment(LONG, layers))[0] == "eager"
    assert choose(small_experiment(LONG, {"engine": "auto"}))[0] == "compile"
