"""Columns of every type and shape with every kind of task: it trains, or one line says why not."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import relaxit
from relaxit.data import Dataset, Examples, Requirement, Splits, pad
from relaxit.errors import ConfigurationError, DataError
from relaxit.training.building import build
from relaxit.training.loop import train
from relaxit.training.supervised import Supervised
from tests.data.test_examples import KEPT, SHAPES, column
from tests.helpers import seed
from tests.training.small import small_config


class Given(Dataset):
    """The columns that a test has set."""

    api, name, summary = 2, "test-given", "columns of a test"
    columns: dict = {}

    def load(self, directory, download=False):
        rows = Examples.of(**self.columns)
        return Splits(rows, rows.take(torch.arange(4)))


class Route(Supervised):
    """A linear classifier for each category, chosen by a router; sequences need lengths."""

    api, name, summary = 2, "test-route", "experts"
    targets = Requirement("integer", 0, 5, shape=())
    ragged = False

    def requires(self, setup):
        lengths = {"lengths": Requirement("integer", 0, shape=())} if self.ragged else {}
        return {**super().requires(setup), **lengths}

    def build(self, setup, format):
        width, classes = format.inputs.entries, format.targets.classes
        categories = setup.relaxation.event_shape[0]
        return nn.ModuleList([nn.Linear(width, categories), nn.Linear(width, categories * classes)])

    def params(self, setup, model, batch):
        return model[0](rows_of(batch))

    def loss(self, setup, model, batch, z):
        logits = model[1](rows_of(batch)).unflatten(-1, (z.shape[-1], -1))
        mixed = (z.unsqueeze(-1) * logits).sum(-2)
        targets = batch.targets.long().expand(mixed.shape[:-1])
        return cross_entropy(mixed.movedim(-1, 1), targets, reduction="none")


class Sequences(Route):
    name = "test-sequences"
    ragged = True


def rows_of(batch):
    return batch.inputs.reshape(len(batch), -1).float()


@pytest.fixture(autouse=True)
def registered():
    for each in (Given, Route, Sequences):
        relaxit.register(each)
    yield
    for each in (Given, Route, Sequences):
        relaxit.unregister(each)


def vae(likelihood):
    return {"task": {"name": "vae", "options": {"hidden": [8], "likelihood": likelihood}}}


BITS = {"relaxation": {"name": "binary", "options": {}}, "task": {"name": "polynomial"}}
TASKS = {
    "bernoulli": (vae("bernoulli"), {torch.float32}, "floats from 0 to 1"),
    "categorical": (vae("categorical"), {torch.uint8, torch.int64}, "integers at least 0"),
    "gaussian": (vae("gaussian"), {torch.float32}, "floats"),
    "polynomial": (BITS, {torch.float32}, "floats"),
    "supervised": ({"task": {"name": "test-route"}}, {*KEPT} - {torch.bool}, "numbers"),
}


def config(task, columns):
    Given.columns = columns
    entries = Examples.of(**columns).inputs[0].numel()
    latents = {"latents": entries} if task == "polynomial" else {}
    return small_config(TASKS[task][0], latents, {"data": {"name": "test-given"}, "epochs": 2})


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", KEPT)
@pytest.mark.parametrize("task", TASKS)
def test_every_column_trains_or_is_rejected(task, dtype, shape):
    values = column(dtype, shape, count=20)
    values = values / 200 if dtype == torch.float32 else values
    chosen = config(task, {"inputs": values, "targets": torch.arange(20) % 6})
    _, types, words = TASKS[task]
    if dtype in types:
        outcome = train(build(chosen))
        assert [row["epoch"] for row in outcome.rows] == [1, 2]
        losses = [
            value for key, value in outcome.rows[-1].items() if key.startswith(("train_", "test_"))
        ]
        assert torch.tensor(losses).isfinite().all()
        return
    with pytest.raises(ConfigurationError) as caught:
        build(chosen)
    name = chosen.task.name
    assert f"task {name!r} needs inputs that are {words}, but those of data set" in str(
        caught.value
    )
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


NUMBERS = torch.rand(20, 3, generator=seed(0))
TARGETS = torch.arange(20) % 6
REJECTED = {
    "vae": ("bernoulli", {"inputs": NUMBERS * 2}, DataError, "floats from 0 to 1, but .* range"),
    "negative class": ("categorical", {"inputs": TARGETS - 1}, DataError, "range from -1 to 4"),
    "no inputs": ("gaussian", {"other": NUMBERS}, ConfigurationError, "needs a column 'inputs'"),
    "no targets": ("supervised", {"inputs": NUMBERS}, ConfigurationError, "column 'targets' .one"),
    "high target": (
        "supervised", {"inputs": NUMBERS, "targets": TARGETS + 1}, DataError, "from 1 to 6",
    ),
    "negative target": (
        "supervised", {"inputs": NUMBERS, "targets": TARGETS - 1}, DataError, "from -1 to 4",
    ),
    "float target": (
        "supervised", {"inputs": NUMBERS, "targets": NUMBERS[:, 0]}, ConfigurationError, "one int",
    ),
    "wide target": (
        "supervised", {"inputs": NUMBERS, "targets": TARGETS[:, None]}, ConfigurationError, "one i",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("task", "columns", "kind", "said"), REJECTED.values(), ids=REJECTED)
def test_columns_that_do_not_fit_are_one_line(task, columns, kind, said):
    Given.columns = columns
    with pytest.raises(kind, match=said) as caught:
        build(small_config(TASKS[task][0], {"data": {"name": "test-given"}}))
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == (2 if kind is ConfigurationError else 4)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("task", [name for name in TASKS if name != "categorical"])
def test_values_that_are_not_finite_are_rejected_before_the_run(task, bad):
    values = NUMBERS.clone()
    values[7, 1] = bad
    with pytest.raises(DataError, match="inputs of the train part have values that are not finite"):
        build(config(task, {"inputs": values, "targets": TARGETS}))


def test_sequences_come_with_their_lengths():
    columns = pad([torch.rand(1 + n % 3, 2, generator=seed(n)) for n in range(20)])
    chosen = {"task": {"name": "test-sequences"}, "data": {"name": "test-given"}}
    Given.columns = {**columns, "targets": TARGETS}
    e = build(small_config(chosen))
    assert set(e.data.format.columns) == {"inputs", "targets", "lengths"}
    assert len(train(e).rows) == 3
    del Given.columns["lengths"]
    with pytest.raises(ConfigurationError, match=r"a column 'lengths' .*relaxit\.data\.pad"):
        build(small_config(chosen))


def test_only_the_columns_of_the_task_are_kept():
    columns = {"inputs": NUMBERS, "targets": TARGETS, "names": TARGETS, "notes": NUMBERS}
    assert list(build(config("gaussian", columns)).data.train.columns) == ["inputs"]
    assert set(build(config("supervised", columns)).data.train.columns) == {"inputs", "targets"}
