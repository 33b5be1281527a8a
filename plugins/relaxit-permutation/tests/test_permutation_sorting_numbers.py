"""The task `sorting-numbers`: what it minimises, what it counts, and that it learns to sort."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from torch import nn

import relaxit
from relaxit import Capabilities, ConfigurationError, Relaxation, zoo
from relaxit.cli.app import run
from relaxit.data.dataset import Dataset, Format, Images, Part
from relaxit.training.callbacks import SilentCallback
from relaxit.training.config import ModelConfig, resolve
from relaxit.training.experiment import build, build_task
from relaxit.training.loop import Trainer
from relaxit.training.runs.directory import RunDirectory
from relaxit.training.stopping import StopRequest
from relaxit.training.task import Setup, Step
from relaxit_permutation.gumbel_sinkhorn.permutation import Permutation
from relaxit_permutation.plackett_luce.permutation_plackett_luce import PermutationPlackettLuce
from relaxit_permutation.tasks.ordering import best_order
from relaxit_permutation.tasks.sorting_numbers.task import SortingNumbers, joined

FLAGS = ["--recipe", "sorting-numbers", "--device", "cpu", "-o", "n=5", "--quiet"]


class Few(Dataset):
    """63 numbers, and 23 to test."""

    api, name, summary = 1, "test-few", "some numbers"

    def load(self, folder, download=False):
        x = torch.rand(86, 1, generator=torch.Generator().manual_seed(2))
        return Images(x[:63], x[63:], (1, 1), levels=1)


class Mute(Relaxation):
    """Neither a discrete law nor an argmax."""

    api, name, summary = 1, "test-mute", "cannot say which order is best"
    capabilities = Capabilities(density=False, discrete_distribution=False, exact_rounding=False)
    event_shape = param_shape = torch.Size([3, 3])
    support = vertices = torch.distributions.constraints.unit_interval

    def rsample(self, params, temperature, shape, generator=None):
        return params.softmax(-1).expand(shape + params.shape)

    def hard(self, soft):
        return soft


@pytest.fixture(autouse=True)
def registered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    classes = (Few, Mute)
    for cls in classes:
        relaxit.register(cls)
    yield
    for cls in classes:
        relaxit.unregister(cls)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def setup(n=5, estimator="pathwise", relaxation=Permutation, **more):
    return Setup(relaxation(n=n), relaxit.estimator(estimator), latents=1, **more)


def step(seed=0, temperature=1.0):
    return Step(torch.tensor(temperature), 1.0, rng(seed))


def part(count, seed=1):
    return Part(torch.rand(count, 1, generator=rng(seed)), 1)


def config(*layers):
    settings = {"relaxation": {"options": {"n": 5}}, "device": "cpu"}
    return resolve([*zoo.recipe_layers("sorting-numbers"), settings, *layers])


class Oracle(nn.Module):
    """Scores -(anchor - x)^2, anchors from the greatest down: what a trained network is to find."""

    def __init__(self, n, scale=1.0, ascending=False):
        super().__init__()
        anchors = 1 - (torch.arange(n) + 0.5) / n
        self.anchors, self.scale = anchors.flip(0) if ascending else anchors, scale

    def forward(self, x):  # [E, n, 1] -> [E, ranks, numbers]
        return -self.scale * (self.anchors - x).square().transpose(-1, -2)


class Swaps(Oracle):
    """An oracle that confuses the two greatest of every list that begins below one half."""

    def forward(self, x):
        right = super().forward(x)
        wrong = right[:, [1, 0, *range(2, right.shape[1])]]
        return torch.where(x[:, :1] < 0.5, wrong, right)


# --- what is counted --------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 1e-4])  # noise would drown the second
def test_an_oracle_sorts_every_list(scale):
    found = SortingNumbers().evaluate(setup(7), Oracle(7, scale), part(700), 0)
    assert found == {"wrong": 0, "lists_wrong": 0, "squared_error": 0}


def test_the_greatest_number_comes_first():
    scores = Oracle(3)(torch.tensor([[[0.1], [0.9], [0.4]]]))
    assert best_order(setup(3), scores).tolist() == [[1, 2, 0]]
    found = SortingNumbers().evaluate(setup(6), Oracle(6, ascending=True), part(600), 0)
    assert found["lists_wrong"] == found["wrong"] == 1
    odd = SortingNumbers().evaluate(setup(5), Oracle(5, ascending=True), part(500), 0)
    assert odd["wrong"] == pytest.approx(0.8)  # the number in the middle is where it belongs


def test_shares_are_those_of_ranks_and_of_lists():
    numbers = part(1000)
    lists = numbers.images.reshape(250, 4)
    bad = lists[:, 0] < 0.5
    top = lists.sort(descending=True).values
    error = 2 * (top[:, 0] - top[:, 1])[bad].square().sum() / (250 * 4)
    found = SortingNumbers().evaluate(setup(4), Swaps(4), numbers, 0)
    assert 0 < int(bad.sum()) < 250
    assert found["lists_wrong"] == pytest.approx(float(bad.float().mean()))
    assert found["wrong"] == pytest.approx(float(bad.float().mean()) / 2)
    assert found["squared_error"] == pytest.approx(float(error), rel=1e-4)


def test_many_lists_are_counted_as_few_are(monkeypatch):
    whole = SortingNumbers().evaluate(setup(4), Swaps(4), part(1000), 0)
    monkeypatch.setattr("relaxit_permutation.tasks.sorting_numbers.task._NUMBERS", 44)
    for key, value in SortingNumbers().evaluate(setup(4), Swaps(4), part(1000), 0).items():
        assert value == pytest.approx(whole[key], rel=1e-5)


def test_equal_numbers_are_not_out_of_order():
    numbers = Part(torch.tensor([0.5, 0.25, 0.5, 0.75] * 3)[:, None], 1)
    assert SortingNumbers().evaluate(setup(4), Oracle(4), numbers, 0)["wrong"] == 0


def test_a_structure_with_a_distribution_is_evaluated_at_its_mode():
    near = setup(5, relaxation=PermutationPlackettLuce)

    class Value(nn.Module):
        def forward(self, x):  # one score a number: itself, hardly different from the others
            return 1e-4 * x.squeeze(-1)

    found = SortingNumbers().evaluate(near, Value(), part(500), 0)
    assert found == {"wrong": 0, "lists_wrong": 0, "squared_error": 0}


# --- lists ------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3, 4, 5, 8, 11])
def test_every_number_is_in_a_list_and_the_last_is_filled_from_the_first(count):
    x = torch.arange(float(count))[:, None]
    lists = joined(x, 4)
    assert lists.shape == (-(-count // 4), 4)
    flat = lists.flatten().tolist()
    assert flat[:count] == x.flatten().tolist()
    assert flat[count:] == [i % count for i in range(count, len(flat))]


@pytest.mark.parametrize("batch_size", [30, 20])  # 63 = 30 + 30 + 3 = 20 + 20 + 20 + 3
def test_a_remainder_smaller_than_a_list_makes_no_nan(batch_size):
    trainer = Trainer(build(config({"data": {"name": "test-few"}, "batch_size": batch_size})))
    trainer.run_epoch(SilentCallback(), StopRequest())
    row = trainer.summary(True)
    assert 0 < row["train_loss"] < 1
    assert trainer.totals[-1] == 13  # lists: 12 full ones, and one of the last three
    assert all(p.isfinite().all() for p in trainer.experiment.model.parameters())
    assert 0 <= row["test_wrong"] <= 1


# --- what is minimised ------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [1, 3])
def test_the_loss_is_the_mean_over_samples_of_soft_lists(samples):
    task, s, numbers = SortingNumbers(samples=samples), setup(4), part(40)
    model = task.build(s, Format((1, 1), 1))
    found = task.terms(s, model, numbers, step(temperature=0.7)).loss
    x = numbers.images.reshape(10, 4)
    params = model(x.unsqueeze(-1))
    soft = s.relaxation(params.expand(samples, 10, 4, 4), 0.7).rsample((), rng())
    by_hand = torch.zeros(10)
    for p in soft:
        for i in range(4):
            placed = (p[:, i] * x).sum(-1)
            by_hand += (placed - x.sort(descending=True).values[:, i]).square() / 4 / samples
    torch.testing.assert_close(found, by_hand)
    assert SortingNumbers().options.samples == 5


def test_each_list_has_noise_of_its_own():
    s = setup(4, "st-gumbel")
    one = torch.rand(4, 1, generator=rng()).repeat(30, 1)  # thirty times the same list
    loss = SortingNumbers(samples=1).terms(s, Oracle(4), Part(one, 1), step()).loss
    assert len(loss.unique()) > 5
    several = SortingNumbers(samples=4).terms(s, Oracle(4), Part(one[:4], 1), step()).loss
    assert several.shape == (1,)
    assert float(several) not in loss.tolist()  # four draws, not four times the first


def test_great_scores_of_an_oracle_cost_nothing_and_of_its_opposite_much():
    s, numbers = setup(4), Part(torch.tensor([0.35, 0.1, 0.9, 0.65])[:, None], 1)
    cost = [
        float(SortingNumbers().terms(s, Oracle(4, 1e4, up), numbers, step()).loss)
        for up in (False, True)
    ]
    assert cost[0] < 1e-6
    assert cost[1] > 0.1


@pytest.mark.parametrize(
    ("relaxation", "estimator"),
    [
        (Permutation, "pathwise"),
        (Permutation, "st-gumbel"),
        (PermutationPlackettLuce, "pathwise"),
        (PermutationPlackettLuce, "st-gumbel"),
        (PermutationPlackettLuce, "straight-through"),
    ],
)
def test_every_structure_and_estimator_moves_every_weight(relaxation, estimator):
    s, task = setup(4, estimator, relaxation), SortingNumbers()
    task.check(s)
    torch.manual_seed(0)
    model = task.build(s, Format((1, 1), 1))
    terms = task.terms(s, model, part(40), step())
    assert terms.loss.shape == (10,)
    assert not terms.metrics
    terms.loss.mean().backward()
    for name, weight in model.named_parameters():
        assert weight.grad.isfinite().all()
        # The bias of a single score is the same for all numbers, which changes no order.
        last = relaxation is PermutationPlackettLuce and name == "network.4.bias"
        assert last or weight.grad.abs().max() > 0, name
    kind = "soft" if estimator == "pathwise" else "hard"
    assert task.statement(s).endswith(f"of {kind} permutations P")


def test_a_number_is_scored_by_itself():
    model = SortingNumbers().build(setup(4), Format((1, 1), 1))
    x = torch.rand(3, 4, 1)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(model(x[:, order]), model(x)[..., order])
    other = x.clone()
    other[:, 1] = 0
    torch.testing.assert_close(model(other)[..., [0, 2, 3]], model(x)[..., [0, 2, 3]])


# --- the command line -------------------------------------------------------------------------


def train(*flags):
    assert run(["train", *FLAGS, "--batch-size", "3000", *flags]) == 0


def metrics(folder):
    return RunDirectory(Path(folder)).read_metrics()


def test_the_recipe_learns_to_sort_and_is_evaluated_with_the_same_result(capsys):
    few = ("--task-option", "samples=1", "--validation", "2000")
    train("--epochs", "2", *few, "--out", "run")
    first, *_, last = metrics("run")
    assert last["test_wrong"] == last["validation_wrong"] == 0
    assert last["train_loss"] < 0.2 * first["train_loss"]
    assert Path("run/curves.png").exists()
    capsys.readouterr()
    assert run(["evaluate", "run", "--device", "cpu", "--json", "--seed", "7"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["test_squared_error"] == pytest.approx(last["test_squared_error"], rel=1e-5)
    assert found["test_wrong"] == found["test_lists_wrong"] == 0


def test_resumed_equals_undisturbed_to_the_bit():
    constant = ("--lr-schedule", "constant", "--dataset", "test-few", "--batch-size", "20")
    train("--epochs", "3", *constant, "--out", "whole")
    train("--epochs", "1", *constant, "--out", "part")
    assert run(["train", "--resume", "part", "--epochs", "3", "--quiet"]) == 0
    weights = [Path(name, "model.safetensors").read_bytes() for name in ("whole", "part")]
    assert weights[0] == weights[1]
    for ours, theirs in zip(metrics("whole"), metrics("part"), strict=True):
        for key in ours.keys() - {"seconds", "images_per_second"}:
            assert ours[key] == theirs[key], key


REFUSED = {
    "pictures": (["--dataset", "digits"], "got images of 8x8 pixels; set --dataset numbers"),
    "batch": (["--batch-size", "4"], "4 numbers is too small for a list of 5; set --batch-size 5"),
    "latents": (["--latents", "2"], "one order per example, got 2 latents; set --latents 1"),
    "structure": (["--relaxation", "categorical", "-o", "n=5"], "categorical"),
    "shape": (["--relaxation", "binary"], r"needs values \[n, n\].*try --relaxation permutation"),
    "mute": (
        ["--relaxation", "test-mute"],
        "neither a discrete distribution with a mode nor an argmax",
    ),
    "estimator": (["--estimator", "straight-through"], "needs the discrete distribution"),
    "binarise": (["--binarise", "threshold"], "binarised numbers cannot be sorted"),
    "samples": (["--task-option", "samples=0"], "samples.*greater than or equal to 1"),
    "KL": (["--kl", "relaxed"], "task 'sorting-numbers' has no KL term"),
    "small part": (
        ["--dataset", "test-few", "-o", "n=30", "--batch-size", "60"],
        "the test set of 23 numbers is too small for a list of 30",
    ),
    "validation": (
        ["--validation", "3"],
        "validation set of 3 numbers is too small for a list of 5",
    ),
}


@pytest.mark.parametrize(("flags", "message"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused_in_a_line(flags, message, capsys):
    named = "--relaxation" in flags and "-o" not in flags
    base = [f for f in FLAGS if not (named and f in ("-o", "n=5"))]
    assert run(["train", *base, "--out", "run", *flags]) == 2
    err = capsys.readouterr().err
    (line,) = [line for line in err.splitlines() if line.startswith("error:")]
    assert re.search(message, line)
    assert not Path("run").exists()


def test_the_relu_of_an_encoder_is_refused():
    with pytest.raises(ConfigurationError, match="no encoder"):
        SortingNumbers().check(setup(networks=ModelConfig(params_activation="relu")))


@pytest.mark.parametrize("n", [5, 50, 120])
def test_the_recipe_fits_every_n(n):
    found = config({"relaxation": {"options": {"n": n}}})
    task, s = build_task(found)
    assert (task.name, task.options.samples, s.relaxation.options.n) == ("sorting-numbers", 1, n)
    assert found.data.name == "numbers"
    assert s.batch_size >= 40 * n
