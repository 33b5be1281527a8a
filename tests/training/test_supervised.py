"""A supervised task from three functions: its loss, penalty, metrics and evaluation."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import relaxit
from relaxit.data import Examples, Splits
from relaxit.training.setup import Setup
from relaxit.training.supervised import Supervised
from relaxit.training.task import Step
from tests.helpers import seed


class Match(Supervised):
    """Choose the category that is the target."""

    api, name, summary = 2, "test-match", "a choice that should be the target"
    metrics = ("wrong",)

    def build(self, setup, format):
        return nn.Linear(format.inputs.entries, setup.relaxation.event_shape[0])

    def params(self, setup, model, batch):
        return model(batch.inputs)

    def loss(self, setup, model, batch, z):
        return 1 - z.gather(-1, batch.targets[:, None].expand(*z.shape[:-1], 1)).squeeze(-1)

    def measure(self, setup, model, batch, z):
        return {"wrong": (z.argmax(-1) != batch.targets).float()}


class Fined(Match):
    def penalty(self, setup, model, batch, q):
        return 0.5 * q.params.square().sum(-1)


def made(estimator="exact", task=Match):
    setup = Setup(relaxit.get("categorical", categories=4), relaxit.estimator(estimator))
    generator = seed(1)
    inputs = torch.randn(2500, 3, generator=generator)
    part = Examples.of(inputs=inputs, targets=torch.randint(0, 4, (2500,), generator=generator))
    torch.manual_seed(2)
    return task(), setup, task().build(setup, Splits(part).format), part


def test_the_loss_is_that_of_the_choice_and_has_its_gradient():
    task, setup, model, part = made()
    terms = task.terms(setup, model, part, Step(torch.tensor(1.0), seed(3)))
    chances = model(part.inputs).softmax(-1).gather(1, part.targets[:, None])[:, 0]
    torch.testing.assert_close(terms.loss, 1 - chances, rtol=1e-4, atol=1e-5)
    weights = list(model.parameters())
    ours, theirs = (torch.autograd.grad(loss.mean(), weights) for loss in (terms.loss, 1 - chances))
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-5)
    chosen = model(part.inputs).argmax(-1)
    assert torch.equal(terms.metrics["wrong"], (chosen != part.targets).float())
    assert not terms.metrics["wrong"].requires_grad


@pytest.mark.parametrize("estimator", ["pathwise", "st-gumbel", "rloo"])
def test_a_penalty_is_added_with_its_gradient(estimator):
    losses = []
    for kind in (Match, Fined):
        task, setup, model, part = made(estimator, kind)
        losses.append(task.terms(setup, model, part, Step(torch.tensor(0.7), seed(3))).loss)
    wanted = 0.5 * model(part.inputs).square().sum(-1)
    torch.testing.assert_close((losses[1] - losses[0]).detach(), wanted.detach())


@torch.no_grad()
def test_evaluation_takes_the_most_likely_choice_of_every_example():
    task, setup, model, part = made()
    found = task.evaluate(setup, model, part, 0)  # in batches of 1000, the last one smaller
    wrong = float((model(part.inputs).argmax(-1) != part.targets).float().mean())
    assert found == pytest.approx({"loss": wrong, "wrong": wrong})
    assert found == task.evaluate(setup, model, part, 1)


def test_without_a_mode_the_argmax_is_taken():
    task, _, model, part = made()
    category = type(relaxit.get("categorical", categories=4))
    relaxation = type("Undistributed", (category,), {"capabilities": Plain.capabilities})(
        categories=4
    )
    params = model(part.inputs)
    chosen = task.choose(Setup(relaxation, relaxit.estimator("pathwise")), params, seed(5))
    assert torch.equal(chosen.argmax(-1), params.argmax(-1))
    assert set(chosen.unique().tolist()) == {0.0, 1.0}
    assert not chosen.requires_grad


class Plain(relaxit.Relaxation):
    """A category that is a relaxation without noise and argmax of its own."""

    api, name = 1, "test-plain"
    capabilities = relaxit.Capabilities(False, False, exact_rounding=False)
    category = relaxit.get("categorical", categories=4)
    event_shape = param_shape = category.event_shape
    support, vertices = category.support, category.vertices

    def rsample(self, params, temperature, shape, generator=None):
        return self.category.rsample(params, temperature, shape, generator)

    def hard(self, soft):
        return self.category.hard(soft)


def test_without_an_argmax_either_a_hard_sample_is_taken():
    task, _, model, part = made()
    setup, params = Setup(Plain(), relaxit.estimator("pathwise")), model(part.inputs)
    first, again = (task.choose(setup, params, seed(n)) for n in (5, 5))
    assert torch.equal(first, again)
    assert not torch.equal(first, task.choose(setup, params, seed(6)))
    assert set(first.unique().tolist()) == {0.0, 1.0}
    assert not first.requires_grad


def test_the_statement_says_what_is_sampled():
    for estimator, kind in (("pathwise", "soft"), ("st-gumbel", "hard")):
        task, setup, _, _ = made(estimator)
        assert task.statement(setup) == f"loss of {kind} samples of {setup.relaxation!r}"
