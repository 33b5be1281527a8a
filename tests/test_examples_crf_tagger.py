"""The example `crf_tagger.py`: its chain against all chains, padding, and a plain loop."""

from __future__ import annotations

import copy
import importlib.util
import itertools
import re
import sys

import pytest
import torch

import relaxit
from relaxit.data import Examples
from relaxit.training import build, resolve, train
from tests.scripts import EXAMPLES, run


@pytest.fixture(scope="module")
def tagger():
    spec = importlib.util.spec_from_file_location("crf_tagger", EXAMPLES / "crf_tagger.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["crf_tagger"] = module
    spec.loader.exec_module(module)
    yield module
    for cls in (module.TagChain, module.CrfTagger, module.HmmSentences):
        relaxit.unregister(cls)
    del sys.modules["crf_tagger"]


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def enumerated(scores):  # [T, S, S] -> all chains [N, T], their scores [N]
    length, tags = scores.shape[:2]
    chains = torch.tensor([*itertools.product(range(tags), repeat=length)])
    before = torch.cat([torch.zeros(len(chains), 1, dtype=torch.long), chains[:, :-1]], 1)
    return chains, scores[torch.arange(length), before, chains].sum(-1)


@pytest.mark.parametrize(("length", "tags"), [(1, 3), (2, 2), (5, 3)])
@pytest.mark.parametrize("temperature", [0.3, 1.0])
def test_values_are_those_of_all_chains(tagger, length, tags, temperature):
    chain = tagger.TagChain(length=length, tags=tags)
    scores = 2 * torch.randn(4, length, tags, tags, generator=rng(), dtype=torch.float64)
    soft, best = chain.relax(scores, temperature), chain.argmax(scores)
    for row, marginals, mode in zip(scores, soft, best, strict=True):
        chains, totals = enumerated(row)
        one_hot = torch.nn.functional.one_hot(chains, tags).double()
        mass = (totals / temperature).softmax(0)
        torch.testing.assert_close(marginals, torch.einsum("n,nts->ts", mass, one_hot))
        assert mode.argmax(-1).tolist() == chains[totals.argmax()].tolist()


@pytest.mark.parametrize("real", [1, 2, 4])
def test_padding_changes_no_other_position(tagger, real):
    long, short = tagger.TagChain(length=6, tags=3), tagger.TagChain(length=real, tags=3)
    scores = torch.randn(5, real, 3, 3, generator=rng())
    padded = torch.cat([scores, torch.full((5, 6 - real, 3, 3), -torch.inf)], 1).requires_grad_()
    for method in ("argmax", "hard", "relax"):
        if method == "relax":
            found, expected = long.relax(padded, 0.5), short.relax(scores, 0.5)
        elif method == "argmax":
            found, expected = long.argmax(padded), short.argmax(scores)
        else:
            found, expected = long.hard(long.relax(padded, 1.0)), short.hard(short.relax(scores, 1))
        torch.testing.assert_close(found[:, :real], expected)
        assert not found[:, real:].any()
    long(padded, 0.5).rsample((), rng()).square().sum().backward()
    assert padded.grad.isfinite().all()
    assert padded.grad[:, :real].abs().max() > 0
    assert not padded.grad[:, real:].any()


def test_a_gap_joins_its_neighbours(tagger):
    scores = 2 * torch.randn(5, 4, 3, 3, generator=rng())
    gap = scores.new_full((5, 1, 3, 3), -torch.inf)
    joined = torch.cat([scores[:, :2], gap, scores[:, 2:]], 1)
    short, long = tagger.TagChain(length=4, tags=3), tagger.TagChain(length=5, tags=3)
    for expected, found in (
        (short.relax(scores, 0.5), long.relax(joined, 0.5)),
        (short.argmax(scores), long.argmax(joined)),
    ):
        torch.testing.assert_close(found[:, [0, 1, 3, 4]], expected)
        assert not found[:, 2].any()


def test_tokens_of_padding_do_not_count(tagger):
    part = tagger.HmmSentences().load(None).test.take(torch.arange(50))
    assert part["lengths"].unique().numel() > 5
    torch.manual_seed(0)
    model = tagger.Autoencoder(tagger.TOKENS, tagger.TAGS)
    real = tagger.mask(part)
    other = {
        name: part[name].masked_scatter(~real, torch.randint(5, real.shape, generator=rng()))
        for name in ("inputs", "tags")
    }
    changed = Examples.of(**other, lengths=part["lengths"])
    assert not torch.equal(changed.inputs, part.inputs)
    chain = tagger.TagChain(length=tagger.LONGEST, tags=tagger.TAGS)
    results = []
    for examples in (part, changed):
        q = chain(model(examples.inputs, tagger.mask(examples)))
        nats = tagger.token_loss(model, examples, q.rsample((), rng()))
        results.append((nats, tagger.tag_accuracy(chain, model, examples)))
    torch.testing.assert_close(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]


def test_accuracy_is_that_of_the_best_names(tagger):
    true = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2])
    renamed = torch.tensor([2, 2, 2, 0, 0, 1, 1, 1])
    assert tagger.one_to_one(renamed, true) == 1
    assert tagger.one_to_one(torch.zeros(8, dtype=torch.long), true) == 3 / 8
    assert tagger.one_to_one(torch.tensor([2, 2, 2, 0, 0, 0, 1, 1]), true) == 7 / 8


def test_a_plain_loop_with_the_same_noise_gives_the_same_weights(tagger):
    settings = {"task": {"name": "crf-tagger"}, "device": "cpu", "engine": "eager", "epochs": 1}
    experiment = build(resolve([settings, {"batch_size": 500}]))
    ours, part = copy.deepcopy(experiment.model), experiment.data.train
    train(experiment, evaluated=())
    chain, noise = experiment.relaxation, experiment.noise_generator()
    optimizer = torch.optim.Adam(ours.parameters())
    for step, rows in enumerate(experiment.order(0).split(500)):
        optimizer.param_groups[0]["lr"] = experiment.learning_rate(step)
        batch = part.take(rows)
        q = chain(ours(batch.inputs, tagger.mask(batch)), 5.0 * 0.2 ** (step / 8))
        z = q.rsample((), noise)
        optimizer.zero_grad()
        tagger.token_loss(ours, batch, z).mean().backward()
        optimizer.step()
    for one, other in zip(ours.parameters(), experiment.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("script", ["crf_tagger.py", "crf_tagger_loop.py"])
def test_the_scripts_learn_tags(script, tmp_path):
    text = run(script, "--epochs", "4", cwd=tmp_path)
    assert float(re.search(r"nats per token ([\d.]+)", text)[1]) < 3.4  # log 40 = 3.69
    assert float(re.search(r"mean accuracy ([\d.]+)%", text)[1]) > 35  # one tag for all: 23
