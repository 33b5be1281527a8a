"""The task `sorting-numbers`: what it counts, its lists, and what it minimises."""

from __future__ import annotations

import pytest
import torch
from numbers_oracles import NUMBERS, Oracle, Swaps, config, part, setup
from seeded_steps import rng, step
from torch import nn

from relaxit.data.examples import Examples
from relaxit.training.building import build
from relaxit.training.callbacks import SilentCallback
from relaxit.training.stopping import StopRequest
from relaxit.training.trainer import Trainer
from relaxit_permutation.gumbel_sinkhorn.permutation import Permutation
from relaxit_permutation.plackett_luce.permutation_plackett_luce import PermutationPlackettLuce
from relaxit_permutation.tasks.ordering import best_order
from relaxit_permutation.tasks.sorting_numbers.task import SortingNumbers, joined

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
    lists = numbers.inputs.reshape(250, 4)
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
    monkeypatch.setattr("relaxit_permutation.tasks.sorting_numbers.task.NUMBERS", 44)
    for key, value in SortingNumbers().evaluate(setup(4), Swaps(4), part(1000), 0).items():
        assert value == pytest.approx(whole[key], rel=1e-5)


def test_equal_numbers_are_not_out_of_order():
    numbers = Examples.of(inputs=[0.5, 0.25, 0.5, 0.75] * 3)
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
    x = torch.arange(float(count))
    lists = joined(x, 4)
    assert lists.shape == (-(-count // 4), 4)
    flat = lists.flatten().tolist()
    assert flat[:count] == x.tolist()
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
    model = task.build(s, NUMBERS)
    found = task.terms(s, model, numbers, step(temperature=0.7)).loss
    x = numbers.inputs.reshape(10, 4)
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
    one = part(4)
    thirty = Examples.of(inputs=one.inputs.repeat(30))  # times the same list
    loss = SortingNumbers(samples=1).terms(s, Oracle(4), thirty, step()).loss
    assert len(loss.unique()) > 5
    several = SortingNumbers(samples=4).terms(s, Oracle(4), one, step()).loss
    assert several.shape == (1,)
    assert float(several) not in loss.tolist()  # four draws, not four times the first


def test_great_scores_of_an_oracle_cost_nothing_and_of_its_opposite_much():
    s, numbers = setup(4), Examples.of(inputs=[0.35, 0.1, 0.9, 0.65])
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
    model = task.build(s, NUMBERS)
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
    model = SortingNumbers().build(setup(4), NUMBERS)
    x = torch.rand(3, 4, 1)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(model(x[:, order]), model(x)[..., order])
    other = x.clone()
    other[:, 1] = 0
    torch.testing.assert_close(model(other)[..., [0, 2, 3]], model(x)[..., [0, 2, 3]])
