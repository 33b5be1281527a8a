"""The task `router`: its balance, its weights and losses, and that a plain loop gives the same."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch.nn.functional import cross_entropy

import relaxit
from relaxit import ConfigurationError, zoo
from relaxit.data import Examples, Splits
from relaxit.training import Setup, Step, build, resolve, train
from relaxit_subset.tasks.router import Router, agreement, imbalance, softmax_weights


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def setup(n=5, k=2, estimator="simple"):
    return Setup(relaxit.get("subset", n=n, k=k), relaxit.estimator(estimator))


def examples(classes=0, rows=40):
    x = torch.randn(rows, 3, 2, generator=rng())
    y = torch.randint(classes, (rows,), generator=rng(1)) if classes else x[:, 0].sin()
    return Examples.of(inputs=x, targets=y, regions=torch.arange(rows) % 3)


def built(task, s, part):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return task.build(s, Splits(part).format)


def config(*layers):
    settings = {"device": "cpu", "engine": "eager"}
    return resolve([*zoo.recipe_layers("router"), settings, *layers])


def chosen_probabilities(scores, k):  # [B, n], by enumeration of all subsets
    n = scores.shape[-1]
    subsets = torch.zeros(0, n, dtype=torch.float64)
    for items in itertools.combinations(range(n), k):
        row = torch.zeros(1, n, dtype=torch.float64)
        row[0, list(items)] = 1
        subsets = torch.cat([subsets, row])
    mass = (scores.double() @ subsets.T).softmax(-1)
    return mass @ subsets


# --- balance ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "k"), [(3, 1), (5, 2), (6, 4), (4, 4)])
def test_the_penalty_is_the_variation_of_loads_by_enumeration(n, k):
    s, part = setup(n, k), examples()
    model = built(Router(), s, part)
    q = s.distribution(Router().params(s, model, part) * 3)
    load = chosen_probabilities(q.params.detach(), k).mean(0)
    expected = float(load.var(correction=0) / load.mean() ** 2)
    found = Router(balance=0.7).penalty(s, model, part, q)
    assert float(found) == pytest.approx(0.7 * expected, abs=1e-6)
    assert Router(balance=0).penalty(s, model, part, q) == 0
    if k < n:
        found.backward()
        assert model.router[-1].bias.grad.abs().max() > 0


@pytest.mark.parametrize(("n", "k"), [(8, 2), (5, 1)])
def test_loads_are_between_equal_and_all_on_the_same(n, k):
    everywhere = torch.full((7, n), k / n)
    same = torch.zeros(7, n).index_fill(1, torch.arange(k), 1.0)
    assert float(imbalance(everywhere)) == pytest.approx(0, abs=1e-6)
    assert float(imbalance(same)) == pytest.approx(n / k - 1)


def test_the_penalty_is_added_to_the_loss():
    s, part = setup(), examples()
    model = built(Router(), s, part)
    losses = [
        Router(balance=b).terms(s, model, part, Step(torch.tensor(1.0), rng())).loss for b in (0, 2)
    ]
    expected = 2 * imbalance(chosen_probabilities(model.scores(part.inputs.flatten(1)).detach(), 2))
    torch.testing.assert_close(losses[1] - losses[0], expected.float().expand(40))


# --- weights and losses -----------------------------------------------------------------------


@pytest.mark.parametrize("spread", [1.0, 1e3, 1e30])
def test_weights_are_the_softmax_of_the_chosen(spread):
    scores = spread * torch.randn(6, generator=rng())
    scores.requires_grad_()
    for items in itertools.combinations(range(6), 2):
        z = torch.zeros(6).index_fill(0, torch.tensor(items), 1.0)
        weights = softmax_weights(scores, z)
        assert float(weights.detach().sum()) == pytest.approx(1)
        assert not weights[z == 0].any()
        if spread == 1:
            torch.testing.assert_close(weights[list(items)], scores[list(items)].softmax(-1))
        (gradient,) = torch.autograd.grad(weights[items[0]], scores)
        assert gradient.isfinite().all()


@pytest.mark.parametrize("weights", ["softmax", "equal"])
@pytest.mark.parametrize("classes", [0, 4])
def test_the_loss_is_that_of_two_experts_by_hand(classes, weights):
    task, s, part = Router(weights=weights), setup(), examples(classes)
    model = built(task, s, part)
    z = torch.zeros(3, 40, 5)  # three samples for each example
    pairs = [list(p) for p in itertools.islice(itertools.combinations(range(5), 2), 3)]
    for sample, items in zip(z, pairs, strict=True):
        sample[:, items] = 1
    found = task.loss(s, model, part, z)
    x = part.inputs.flatten(1)
    scores, outputs = model.scores(x), model.outputs(x)
    for sample, (a, b) in zip(found, pairs, strict=True):
        share = scores[:, [a, b]].softmax(-1) if weights == "softmax" else torch.full((40, 2), 0.5)
        mixed = share[:, :1] * outputs[:, a] + share[:, 1:] * outputs[:, b]
        error = (mixed - part.targets).square().mean(-1) if not classes else cross_entropy(
            mixed, part.targets, reduction="none"
        )  # fmt: skip
        torch.testing.assert_close(sample, error)


@pytest.mark.parametrize("classes", [0, 4])
@pytest.mark.parametrize("estimator", ["pathwise", "simple", "st-gumbel", "straight-through"])
def test_every_estimator_moves_every_weight(estimator, classes):
    task, s, part = Router(), setup(estimator=estimator), examples(classes)
    task.check(s)
    model = built(task, s, part)
    task.terms(s, model, part, Step(torch.tensor(0.7), rng())).loss.mean().backward()
    for name, weight in model.named_parameters():
        assert weight.grad.isfinite().all()
        assert weight.grad.abs().max() > 0, name


@pytest.mark.parametrize("classes", [0, 4])
def test_the_order_of_experts_changes_nothing(classes):
    task, s, part = Router(), setup(), examples(classes, rows=90)
    model = built(task, s, part)
    other, order = copy.deepcopy(model), torch.tensor([3, 0, 4, 1, 2])
    with torch.no_grad():
        for weight in (*other.router[-1].parameters(), other.first, other.first_bias):
            weight.copy_(weight[order])
        for weight in (other.last, other.last_bias):
            weight.copy_(weight[order])
        first, second = (task.evaluate(s, m, part, 0) for m in (model, other))
    assert first == pytest.approx(second, rel=1e-5)
    assert first.keys() == {"loss", "load", "agreement"} | ({"accuracy"} if classes else set())
    assert 1 / 5 <= first["load"] <= 1 / 2


def test_agreement_is_that_of_labels_up_to_their_names():
    true = torch.arange(600) % 6
    assert agreement(true, (true + 2) % 6 * 7) == pytest.approx(1)
    assert agreement(true, torch.zeros(600, dtype=torch.long)) == pytest.approx(0, abs=1e-9)
    # H = log 6, log 3, and I = log 3
    expected = 2 * torch.tensor(3.0).log() / torch.tensor(18.0).log()
    assert agreement(true, true % 3) == pytest.approx(float(expected))


# --- training ---------------------------------------------------------------------------------


def test_a_plain_loop_with_the_same_noise_gives_the_same_weights():
    experiment = build(config({"epochs": 1, "batch_size": 400}))
    ours, part = copy.deepcopy(experiment.model), experiment.data.train
    train(experiment, evaluated=())
    subset, noise = relaxit.get("subset", n=8, k=2), experiment.noise_generator()
    optimizer = torch.optim.Adam(ours.parameters())
    for step, rows in enumerate(experiment.order(0).split(400)):
        optimizer.param_groups[0]["lr"] = experiment.learning_rate(step)
        x, y = part.inputs[rows], part.targets[rows]
        scores = ours.scores(x)

        def cost(z, x=x, y=y, scores=scores):
            mixed = (softmax_weights(scores, z).unsqueeze(-1) * ours.outputs(x)).sum(-2)
            return (mixed - y).square().mean(-1)

        q = subset(scores, 0.1 ** (step / 20))
        costs = relaxit.estimator("pathwise").surrogate(q, cost, noise)
        share = q.discrete.mean.mean(0) / 2
        optimizer.zero_grad()
        (costs.mean() + 0.1 * (8 * share.square().sum() - 1)).backward()
        optimizer.step()
    for one, other in zip(ours.parameters(), experiment.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_routing_pays_where_regions_have_functions_of_their_own():
    routed, all_alike = (
        train(build(config({"epochs": 3}, layer)), evaluated={3}).rows[-1]["test_loss"]
        for layer in (
            {},
            {"relaxation": {"options": {"k": 8}}, "task": {"options": {"weights": "equal"}}},
        )
    )
    assert 0.04 < routed < 0.9 * all_alike  # 0.04 is the variance of the noise


def test_integers_of_several_entries_are_rejected():
    part = Examples.of(inputs=torch.rand(4, 3), targets=[[0, 1]] * 4)
    with pytest.raises(ConfigurationError, match="one class per example or floats"):
        built(Router(), setup(), part)
