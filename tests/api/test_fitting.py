"""relaxit.fit: the gradients of a plain loop, with schedules, seeds, files and resuming."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import relaxit
from relaxit.data import Examples, Splits
from relaxit.errors import CheckpointError, ConfigurationError, DataError, DivergenceError

X = torch.randn(120, 4, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()
QUICK = {"epochs": 3, "batch_size": 50, "device": "cpu", "progress": False, "engine": "eager"}


def module() -> nn.Module:
    return nn.Linear(4, 2)


def loss(model, batch, step):
    z = relaxit.gumbel_softmax(
        model(batch.inputs), float(step.temperature), generator=step.generator
    )
    return (z[:, 1] - batch.targets).square()


def wrong(model, batch):
    return model(batch.inputs).argmax(-1) != batch.targets


def test_it_is_the_plain_loop_bit_for_bit():
    """The oracle is a loop of plain torch in the trainer's order and with its noise."""
    from relaxit.training.seeds import derive

    torch.manual_seed(3)
    mine = module()
    torch.manual_seed(3)
    plain = module()
    relaxit.fit(mine, loss, (X, Y), lr=0.01, temperature=0.7, seed=4, **QUICK)
    optimizer = torch.optim.AdamW(plain.parameters(), lr=0.01, weight_decay=0.0, fused=True)
    noise = torch.Generator().manual_seed(derive(4, "noise"))
    held = torch.randperm(120, generator=torch.Generator().manual_seed(0))
    x, y = X[held], Y[held]
    for epoch in range(3):
        order = torch.Generator().manual_seed(derive(4, "order", epoch))
        for index in torch.randperm(120, generator=order).split(50):
            z = relaxit.gumbel_softmax(plain(x[index]), 0.7, generator=noise)
            optimizer.zero_grad()
            (z[:, 1] - y[index]).square().mean().backward()
            optimizer.step()
    for a, b in zip(mine.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "data",
    [
        (X, Y),
        {"inputs": X, "targets": Y},
        Examples.of(inputs=X, targets=Y),
        Splits(Examples.of(inputs=X, targets=Y)),
        {"inputs": X.numpy(), "targets": Y.tolist()},
    ],
    ids=["pair", "table", "examples", "splits", "arrays"],
)
def test_data_in_all_its_forms_give_the_same_run(data):
    run = relaxit.fit(module, loss, data, **QUICK)
    again = relaxit.fit(module, loss, (X, Y), **QUICK)
    assert run.metrics.column("train_loss") == again.metrics.column("train_loss")


def test_a_mean_as_a_loss_trains_like_one_value_per_example():
    def mean(model, batch, step):
        return loss(model, batch, step).mean()

    runs = [relaxit.fit(module, f, (X, Y), **QUICK) for f in (loss, mean)]
    first, second = (run.metrics.column("train_loss") for run in runs)
    assert first == pytest.approx(second, rel=1e-5)


def test_schedules_metrics_and_held_out_examples():
    run = relaxit.fit(
        module, loss, (X, Y), test=(X[:40], Y[:40]), metrics={"wrong": wrong}, validation=20,
        temperature=1.0, schedule="linear", final_temperature=0.5, lr=0.05, lr_schedule="cosine",
        **{**QUICK, "epochs": 30},
    )  # fmt: skip
    last = run.metrics[-1]
    assert last["temperature"] == pytest.approx(0.5, abs=0.02)
    assert last["learning_rate"] < 0.001
    assert {"validation_loss", "validation_wrong", "test_loss"} <= last.keys()
    with torch.no_grad():
        share = (run.model(X[:40]).argmax(-1) != Y[:40]).float().mean()
    assert last["test_wrong"] == pytest.approx(float(share))
    assert last["test_wrong"] < 0.2


def test_files_resuming_and_loading():
    whole = relaxit.fit(module, loss, (X, Y), out="whole", **{**QUICK, "epochs": 4})
    relaxit.fit(module, loss, (X, Y), out="parts", **QUICK)
    rest = relaxit.fit(module, loss, (X, Y), out="parts", resume=True, **{**QUICK, "epochs": 4})
    assert rest.metrics.column("train_loss") == whole.metrics.column("train_loss")
    assert {"config.json", "metrics.jsonl", "model.safetensors", "curves.png"} <= {
        path.name for path in Path("parts").iterdir()
    }
    loaded = relaxit.load_run("parts", device="cpu", model=module())
    assert torch.equal(loaded.model.weight, whole.model.weight)
    assert loaded.metrics == rest.metrics
    with pytest.raises(CheckpointError, match=r"relaxit\.fit: pass its module"):
        relaxit.load_run("parts")


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_a_signal_is_raised_when_the_run_is_saved_and_no_other_seed_begins(number, error):
    calls = []

    def stopping(model, batch, step):
        calls.append(len(batch))
        if len(calls) == 3:  # the tried step, and two of the run
            os.kill(os.getpid(), number)
        return loss(model, batch, step)

    with pytest.raises(error):
        relaxit.fit(module, stopping, (X, Y), seeds=2, out="seeds", **QUICK)
    assert [path.name for path in Path("seeds").iterdir()] == ["seed-0"]
    rest = relaxit.fit(module, loss, (X, Y), out="seeds/seed-0", resume=True, **QUICK)
    whole = relaxit.fit(module, loss, (X, Y), **QUICK)
    assert torch.equal(rest.model.weight, whole.model.weight)


def test_seeds_make_modules_of_their_own():
    runs = relaxit.fit(module, loss, (X, Y), seeds=3, out="seeds", **QUICK)
    weights = [run.model.weight for run in runs]
    assert not torch.equal(weights[0], weights[1])
    alone = relaxit.fit(module, loss, (X, Y), seed=1, **QUICK)
    assert torch.equal(weights[1], alone.model.weight)
    assert runs.summary["train_loss"].count == 3
    assert sorted(path.name for path in Path("seeds").iterdir()) == ["seed-0", "seed-1", "seed-2"]


def test_nothing_is_written_without_a_directory():
    run = relaxit.fit(module, loss, (X, Y), **QUICK)
    assert run.path is None
    assert run.figures == {}
    assert list(Path().iterdir()) == []


def infinite(model, batch, step):
    return model(batch.inputs).sum(-1) * float("inf")


def scalar(model, batch, step):
    return cross_entropy(model(batch.inputs), batch.targets, reduction="none").unsqueeze(-1)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"data": (X.masked_fill(X > 2, torch.nan), Y)}, DataError, "'inputs' has values that are"),
        ({"data": (X, Y[:5])}, DataError, "column 'targets' of the train part has 5 rows"),
        ({"data": [[1, 2], [3]]}, DataError, "data must be a tensor, a pair"),
        ({"data": (X, Y, Y)}, DataError, "a pair of inputs and targets"),
        ({"data": {"inputs": [[1], [2, 3]]}}, DataError, "examples of different lengths"),
        ({"loss": scalar}, relaxit.ShapeError, "expected a loss [E]"),
        ({"model": module(), "seeds": 2}, ConfigurationError, "needs a function that makes"),
        ({"resume": True}, ConfigurationError, "give its directory"),
        ({"latents": 3}, ConfigurationError, "latents is no setting of relaxit.fit"),
        ({"epochs": 0}, ConfigurationError, "epochs must be at least 1"),
        ({"validation": 120}, ConfigurationError, "leaves none to train on"),
        ({"loss": infinite}, DivergenceError, "the loss is not finite at step 0"),
    ],
)
def test_bad_input_is_one_line(change, error, text):
    arguments = {"model": module, "loss": loss, "data": (X, Y), **QUICK, **change}
    with pytest.raises(error) as caught:
        relaxit.fit(
            arguments.pop("model"), arguments.pop("loss"), arguments.pop("data"), **arguments
        )
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
