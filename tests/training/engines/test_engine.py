"""Whatever executes the steps, it is the same run."""

from __future__ import annotations

import shutil
import signal
import warnings

import pytest
import torch

import relaxit
from relaxit.cli.app import run
from relaxit.errors import ConfigurationError
from relaxit.training.config import resolve
from relaxit.training.engines import engine
from relaxit.training.engines.engine import choose, expected_saving
from relaxit.training.engines.snapshot import Snapshot
from relaxit.training.loop import SilentCallback, Trainer
from relaxit.training.stopping import StopRequest
from tests.conftest import needs_cuda
from tests.training.signs import Sign
from tests.training.small import BASE, small_config, small_experiment

SCHEDULES = {
    "temperature": {"schedule": "linear"},
    "objective": {"kl_warmup": 0.5},
    "optimizer": {"schedule": "cosine", "warmup": 0.1, "weight_decay": 0.1},
    "data": {"binarise": "dynamic"},
}
RUNS = {
    "pathwise": (SCHEDULES,),
    "st-gumbel": ({"estimator": {"name": "st-gumbel"}, "optimizer": {"method": "radam"}},),
    "straight-through": (SCHEDULES, {"estimator": {"name": "straight-through"}}),
    "relaxed-kl": ({"objective": {"kl": "relaxed"}, "temperature": {"initial": 0.7}},),
    "learned": ({"temperature": {"schedule": "learned"}},),
    "state": (SCHEDULES, {"estimator": {"name": "relax"}}),
    "bits": ({"relaxation": {"name": "binary", "options": {}}},),
}


def trained(*layers, epochs=2):
    """A trainer after some epochs, the last batch of each smaller than the others."""
    trainer = Trainer(small_experiment(*layers))
    for epoch in range(epochs):
        assert trainer.run_epoch(SilentCallback(), StopRequest())
        if epoch + 1 < epochs:
            trainer.next_epoch()
    return trainer


def state(trainer):
    e = trainer.experiment
    return [
        *(tensor.detach() for tensor in e.model.state_dict().values()),
        e.temperature().detach(),
        trainer.totals,
    ]


def apart(one, other):
    """Largest difference of what two trainers hold, relative to its size."""
    pairs = zip(state(one), state(other), strict=True)
    return max(
        float((a.double() - b.cpu().double()).abs().max() / (1 + a.double().abs().max()))
        for a, b in ((a.cpu(), b) for a, b in pairs)
    )


@pytest.fixture
def uncompiled(monkeypatch):
    """Everything the engine ``compile`` does, but for the compiler."""
    monkeypatch.setattr(torch, "compile", lambda function, **options: function)


# --- compiled ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RUNS)
def test_what_is_prepared_for_the_compiler_is_the_same_run_to_the_bit(uncompiled, name):
    fast, plain = trained(*RUNS[name], {"engine": "compile"}), trained(*RUNS[name])
    assert fast.engine.name == "compile"
    assert all(torch.equal(a, b) for a, b in zip(state(fast), state(plain), strict=True))
    assert torch.equal(fast.generator.get_state(), plain.generator.get_state())


def test_that_comparison_sees_a_trial_that_is_not_undone(uncompiled, monkeypatch):
    monkeypatch.setattr(Snapshot, "restore", lambda self: None)
    assert apart(trained(SCHEDULES, {"engine": "compile"}), trained(SCHEDULES)) > 1e-4


@pytest.mark.skipif(shutil.which("c++") is None, reason="the inductor needs a C++ compiler")
def test_compiled_steps_are_the_plain_ones_up_to_rounding_and_compiled_once():
    from torch._dynamo.utils import counters

    tiny = {"model": {"hidden": [8]}}
    fast = Trainer(small_experiment(SCHEDULES, tiny, {"engine": "compile"}))
    fast.train_step(torch.arange(300))
    graphs = counters["stats"]["unique_graphs"]
    plain = Trainer(small_experiment(SCHEDULES, tiny))
    plain.train_step(torch.arange(300))
    for trainer in (fast, plain):
        trainer.position = 0
        for _ in range(3):  # temperature, KL weight and rate move; the last batch has 137
            trainer.run_epoch(SilentCallback(), StopRequest())
            trainer.next_epoch()
            trainer.totals.fill_(trainer.step)
    assert fast.engine.name == "compile"
    assert counters["stats"]["unique_graphs"] == graphs
    assert fast.experiment.temperature().item() < 0.6
    assert apart(fast, plain) < 1e-5


def test_no_run_is_taken_for_another_that_was_compiled_before(monkeypatch):
    # The compiler keeps its work with the code object, and is told to look at tensors only.
    codes = []
    monkeypatch.setattr(torch, "compile", lambda f, **_: codes.append(f.__code__) or f)
    for seed in (0, 1):
        trained({"engine": "compile", "seed": seed}, epochs=1)
    assert codes[0] is not codes[1]


def failing(state, index):
    raise RuntimeError("InvalidCxxCompiler: none of these were found:\n  g++")


def test_what_does_not_compile_is_refused_where_it_was_asked_for(monkeypatch):
    monkeypatch.setitem(engine._FAST, "compile", failing)
    trainer = Trainer(small_experiment({"engine": "compile"}))
    with pytest.raises(ConfigurationError, match=r"--engine.*compile does not work.*Invalid") as e:
        trainer.train_step(torch.arange(300))
    assert "\n" not in str(e.value)
    assert e.value.exit_code == 2


def test_what_does_not_compile_runs_eagerly_where_it_was_not(monkeypatch):
    monkeypatch.setitem(engine._FAST, "compile", failing)
    monkeypatch.setattr(engine, "_LEAST_SAVING", 0.0)
    with pytest.warns(UserWarning, match="eager is used: RuntimeError: InvalidCxx") as told:
        fallen = trained({"engine": "auto"})
    assert len(told) == 1
    assert fallen.engine.name == "eager"
    assert all(torch.equal(a, b) for a, b in zip(state(fallen), state(trained()), strict=True))


def test_code_that_draws_by_itself_does_not_compile_and_falls_back(uncompiled, monkeypatch):
    # The hard draw of this relaxation goes to torch.rand, which takes no handle.
    relaxit.register(Sign)
    try:
        layer = {"relaxation": {"name": "test-sign", "options": {}}}
        monkeypatch.setattr(engine, "_LEAST_SAVING", 0.0)
        with pytest.warns(UserWarning, match="eager is used"):
            fallen = trained(layer, {"engine": "auto"})
        assert all(
            torch.equal(a, b) for a, b in zip(state(fallen), state(trained(layer)), strict=True)
        )
    finally:
        relaxit.unregister(Sign)


# --- the choice -------------------------------------------------------------------------------


def test_a_short_run_is_not_compiled_a_long_one_is():
    short, long = (small_experiment({"engine": "auto", "epochs": n}) for n in (3, 100_000))
    assert choose(short)[0] == "eager"
    assert choose(long)[0] == "compile"
    assert expected_saving(long) == pytest.approx(expected_saving(short) * 100_000 / 3)


def test_a_relaxation_that_does_not_compile_is_not_compiled(monkeypatch):
    from dataclasses import replace

    long = small_experiment({"engine": "auto", "epochs": 100_000})
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


# --- precision --------------------------------------------------------------------------------


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


# --- on a GPU ---------------------------------------------------------------------------------


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("name", RUNS)
def test_a_graph_is_the_plain_run(name):
    plain = trained(*RUNS[name], {"device": "cuda", "engine": "eager"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        graph = trained(*RUNS[name], {"device": "cuda", "engine": "graph"})
    assert apart(graph, plain) < 1e-3  # sums on a GPU are not repeatable to the bit
    assert torch.equal(graph.generator.get_state(), plain.generator.get_state())


@pytest.mark.gpu
@needs_cuda
def test_no_step_of_a_graph_waits_for_the_device():
    trainer = Trainer(small_experiment({"device": "cuda", "engine": "graph"}, SCHEDULES))
    trainer.train_step(torch.arange(300, device="cuda"))
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(60):  # and past the step at which weights are kept
            trainer.train_step(torch.arange(300, device="cuda"))
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@needs_cuda
def test_a_graph_is_recorded_anew_after_resuming():
    layers = (SCHEDULES, {"device": "cuda", "engine": "graph"})
    whole = trained(*layers, epochs=3)
    saved = trained(*layers, epochs=2)
    saved.next_epoch()
    other = Trainer(small_experiment(*layers))
    other.train_step(torch.arange(300, device="cuda"))
    other.load_state_dict(saved.state_dict())
    other.run_epoch(SilentCallback(), StopRequest())
    assert apart(whole, other) < 1e-3


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_settings_of_products_are_given_back(precision):
    before = torch.backends.cuda.matmul.fp32_precision
    trained({"device": "cuda", "precision": precision}, epochs=1)
    assert torch.backends.cuda.matmul.fp32_precision == before


class Counted(torch.nn.Module):
    """Changes with the number of times it was called, which no tensor knows."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x * self.calls


@pytest.mark.parametrize("asked", ["auto", "compile"])
def test_a_model_that_counts_in_python_is_not_compiled(uncompiled, monkeypatch, asked):
    monkeypatch.setattr(engine, "_LEAST_SAVING", 0.0)
    trainer = Trainer(small_experiment({"engine": asked}))
    trainer.experiment.model.encoder.append(Counted())
    index = torch.arange(100)
    if asked == "compile":
        with pytest.raises(ConfigurationError, match=r"encoder\.\d+\.calls"):
            trainer.train_step(index)
        return
    with pytest.warns(UserWarning, match="not a tensor"):
        trainer.train_step(index)
    assert trainer.engine.name == "eager"
    assert trainer.experiment.model.encoder[-1].calls == 1


def test_many_values_are_not_compiled_by_themselves(monkeypatch):
    monkeypatch.setattr(engine, "_LEAST_SAVING", 0.0)
    layers = {"estimator": {"name": "exact"}, "engine": "auto"}
    assert choose(small_experiment(layers))[0] == "eager"
    assert choose(small_experiment({"engine": "auto"}))[0] == "compile"


def test_a_stop_asked_for_before_an_inner_run_begins_is_not_lost():
    with StopRequest() as outer:
        signal.raise_signal(signal.SIGTERM)
        with StopRequest() as inner:
            assert inner.exit_code == outer.exit_code == 143
    with StopRequest() as outer, StopRequest() as inner:
        assert not outer
        assert not inner
