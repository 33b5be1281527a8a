"""The task `crf-tagger`: its loss and tags by enumeration, padding, and a plain loop."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch

import relaxit
from relaxit import ConfigurationError, zoo
from relaxit.data import Examples, Splits
from relaxit.training import Setup, Step, build, resolve, train
from relaxit_graph.tasks.tagger import CrfTagger, is_real, nats_per_token, one_to_one

STRUCTURES = pytest.mark.parametrize("structure", ["chain", "gumbel-crf"])
TOKENS, STATES = 7, 3


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def setup(structure="chain", length=4, estimator="pathwise"):
    relaxation = relaxit.get(structure, length=length, states=STATES)
    return Setup(relaxation, relaxit.estimator(estimator))


def sentences(*lengths, longest=4, **columns):
    tokens = torch.randint(TOKENS, (len(lengths), longest), generator=rng())
    tags = torch.randint(STATES, tokens.shape, generator=rng(1))
    return Examples.of(inputs=tokens, tags=tags, lengths=lengths, **columns)


def built(s, batch):
    model = CrfTagger().build(s, Splits(batch, classes={"inputs": TOKENS, "tags": STATES}).format)
    with torch.no_grad():
        model.pair.normal_(generator=rng(2))  # zero at first
        model.emissions.normal_(generator=rng(3))
    return model


def all_chains(s, model, batch):
    """Chains [N, n] of one sentence [1, n], log-weights under q, and log p(tokens | chain)."""
    real = torch.ones_like(batch.inputs, dtype=torch.bool)
    unary, observed = model.unary(batch.inputs, real)[0], model.log_likelihood(batch.inputs)[0]
    chains = torch.tensor([*itertools.product(range(STATES), repeat=len(unary))])
    at = torch.arange(len(unary))
    neighbours = model.pair[chains[:, :-1], chains[:, 1:]].sum(-1)
    return chains, unary[at, chains].sum(-1) + neighbours, observed[at, chains].sum(-1)


# --- loss and tags ----------------------------------------------------------------------------


@STRUCTURES
@pytest.mark.parametrize("length", [1, 2, 4])
def test_loss_and_tags_of_a_padded_sentence_are_those_of_all_chains(structure, length):
    task, s, batch = CrfTagger(), setup(structure), sentences(4, length)
    model = built(s, batch)
    q = s.distribution(task.params(s, model, batch))
    expected_nats = task.loss(s, model, batch, q.discrete.mean)[1]
    alone = Examples.of(inputs=batch.inputs[1:, :length])
    chains, scores, observed = all_chains(s, model, alone)
    torch.testing.assert_close(expected_nats, -(scores.softmax(0) * observed).sum() / length)
    best = chains[(scores + observed).argmax()]
    assert task.tags(s, model, batch)[1, :length].tolist() == best.tolist()


@STRUCTURES
def test_tags_follow_tokens_that_only_one_tag_emits(structure):
    task, s, batch = CrfTagger(), setup(structure), sentences(4, 3)
    model, real = built(s, batch), is_real(batch)
    own = torch.arange(TOKENS) % STATES
    with torch.no_grad():
        model.emissions.copy_(100.0 * (own == torch.arange(STATES).unsqueeze(-1)))
    assert torch.equal(task.tags(s, model, batch)[real], own[batch.inputs[real]])


@STRUCTURES
@pytest.mark.parametrize("estimator", ["pathwise", "st-gumbel", "straight-through"])
def test_what_follows_a_sentence_does_not_count(structure, estimator):
    task, s, batch = CrfTagger(), setup(structure, estimator=estimator), sentences(4, 2, 1)
    model, real, results = built(s, batch), is_real(batch), []
    other = {
        name: column.where(real, torch.randint(STATES, real.shape, generator=rng(5)))
        for name, column in batch.select(["inputs", "tags"]).columns.items()
    }
    assert not torch.equal(other["inputs"], batch.inputs)
    for examples in (batch, Examples.of(**other, lengths=batch["lengths"])):
        model.zero_grad()
        loss = task.terms(s, model, examples, Step(torch.tensor(0.7), rng())).loss
        loss.mean().backward()
        metrics = task.evaluate(s, model, examples, 0)
        results.append((loss, [weight.grad for weight in model.parameters()], metrics))
    torch.testing.assert_close(results[0], results[1])


@pytest.mark.parametrize("position", range(4))
def test_the_scores_of_a_tag_see_both_neighbours_of_its_token_only(position):
    batch = sentences(4)
    model = built(setup(), batch)
    changed = batch.inputs.clone()
    changed[0, position] = (changed[0, position] + 1) % TOKENS
    first, second = (model.unary(tokens, is_real(batch))[0] for tokens in (batch.inputs, changed))
    moved = (first != second).any(-1).nonzero().flatten().tolist()
    assert moved == [t for t in (position - 1, position + 1) if 0 <= t < 4]


@STRUCTURES
@pytest.mark.parametrize("estimator", ["pathwise", "st-gumbel", "straight-through", "rloo"])
def test_every_estimator_moves_every_weight(structure, estimator):
    task, s = CrfTagger(), setup(structure, estimator=estimator)
    batch = sentences(*[4, 3, 2] * 10)
    task.check(s)
    model = built(s, batch)
    task.terms(s, model, batch, Step(torch.tensor(0.7), rng())).loss.mean().backward()
    for name, weight in model.named_parameters():
        assert weight.grad.isfinite().all()
        assert weight.grad.abs().max() > 0, name


def test_without_lengths_all_tokens_count():
    task, s, batch = CrfTagger(), setup(), sentences(4, 4)
    model, whole = built(s, batch), batch.select(["inputs"])
    z = torch.rand(5, 2, 4, STATES, generator=rng())
    assert nats_per_token(model, whole, z).shape == (5, 2)
    torch.testing.assert_close(nats_per_token(model, whole, z), nats_per_token(model, batch, z))
    assert torch.equal(task.encode(s, model, batch.inputs), task.params(s, model, batch))
    assert task.evaluate(s, model, whole, 0).keys() == {"loss"}


def test_accuracy_is_that_of_the_best_names():
    true = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2])
    assert one_to_one((true + 2) % 3, true) == 1
    assert one_to_one(torch.zeros(8, dtype=torch.long), true) == 3 / 8
    assert one_to_one(torch.tensor([2, 2, 2, 0, 0, 0, 1, 1]), true) == 7 / 8
    assert one_to_one(torch.arange(8), true) == 3 / 8  # more names than tags


# --- training ---------------------------------------------------------------------------------


def config(*layers):
    settings = {"device": "cpu", "engine": "eager"}
    return resolve([*zoo.recipe_layers("crf-tagger"), settings, *layers])


def test_a_plain_loop_with_the_same_noise_gives_the_same_weights():
    experiment = build(config({"epochs": 1, "batch_size": 500}))
    ours, part = copy.deepcopy(experiment.model), experiment.data.train
    train(experiment, evaluated=())
    chain, noise = experiment.relaxation, experiment.noise_generator()
    optimizer = torch.optim.Adam(ours.parameters())
    for step, rows in enumerate(experiment.order(0).split(500)):
        optimizer.param_groups[0]["lr"] = experiment.learning_rate(step)
        batch = part.take(rows)
        unary = ours.unary(batch.inputs, is_real(batch))
        params = chain.pad(chain.join(unary=unary, pair=ours.pair), batch["lengths"])
        z = chain(params, 5.0 * 0.2 ** (step / 8)).rsample((), noise)
        optimizer.zero_grad()
        nats_per_token(ours, batch, z).mean().backward()
        optimizer.step()
    for one, other in zip(ours.parameters(), experiment.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


# --- errors -----------------------------------------------------------------------------------


def test_a_structure_without_neighbours_is_rejected_in_a_line():
    s = Setup(relaxit.get("categorical", categories=STATES), relaxit.estimator("pathwise"))
    with pytest.raises(ConfigurationError, match=r"neighbouring.*try --relaxation chain") as error:
        CrfTagger().check(s)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("length", [3, 5])
def test_a_chain_of_another_length_is_rejected_in_a_line(length):
    with pytest.raises(ConfigurationError, match=r"up to 4 tokens.*set -o length=4$") as error:
        built(setup(length=length), sentences(4, 2))
    assert "\n" not in str(error.value)


def test_columns_that_do_not_fit_the_sentences_are_rejected_in_a_line():
    tags = torch.zeros(2, 3, dtype=torch.long)
    tokens = torch.zeros(2, 4, dtype=torch.long)
    for columns, words in (
        ({"tags": tags}, r"a column tags has shape \[3\] per example; choose another --dataset$"),
        ({"lengths": [2, 5]}, r"a column lengths has 5; choose another --dataset$"),
    ):
        with pytest.raises(ConfigurationError, match=rf"up to 4 tokens, but {words}") as error:
            built(setup(), Examples.of(inputs=tokens, **columns))
        assert "\n" not in str(error.value)
