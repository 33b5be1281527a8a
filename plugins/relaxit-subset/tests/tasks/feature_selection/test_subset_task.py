"""What the task `feature-selection` learns, and what it reports."""

from __future__ import annotations

import pytest
import torch
from planted_pixels import PLANTED, config, small, trained, with_scores

from relaxit.training.building import build
from relaxit.training.callbacks import SilentCallback
from relaxit.training.stopping import StopRequest
from relaxit.training.trainer import Trainer
from relaxit_subset.tasks.feature_selection.task import selection

# --- what is learned --------------------------------------------------------------------------

ESTIMATORS = {
    "pathwise": {},
    "st-gumbel": {},
    "straight-through": {},
    "simple": {},
    "imle": {"lam": 200.0},  # against the gradient of the mean over a batch, which is small
}


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("relaxation", ["subset", "subset-plackett-luce"])
def test_every_estimator_moves_scores_and_weights(relaxation, estimator):
    choice = {"name": relaxation, "options": {"n": 64, "k": 5}}
    through = {"name": estimator, "options": ESTIMATORS[estimator]}
    layer = {**small(), "relaxation": choice, "estimator": through, "batch_size": 200}
    before, after = build(config(layer)).model, trained(layer).model
    for (name, old), new in zip(before.named_parameters(), after.parameters(), strict=True):
        assert new.isfinite().all()
        assert not torch.equal(old, new), name
    assert after.params.unique().numel() > 5


@pytest.mark.parametrize(("estimator", "k", "epochs"), [("pathwise", 3, 30), ("simple", 8, 20)])
def test_planted_pixels_are_found(estimator, k, epochs):
    layer = {**small(k), "epochs": epochs, "batch_size": 50, "estimator": {"name": estimator}}
    options = {"task": {"options": {"score_rate": 20.0, "hidden": [32]}}}
    experiment = trained(layer, options, dataset="test-planted")
    chosen = selection(experiment.setup, experiment.model).nonzero().flatten().tolist()
    assert len(chosen) == k
    assert set(PLANTED) <= set(chosen)
    assert experiment.evaluate("test", 0)["test_accuracy"] > 0.98


def test_one_draw_serves_a_batch_and_every_image_costs_the_same(monkeypatch):
    trainer = Trainer(build(config(small(estimator={"name": "simple"}))))
    drawn, lengths = [], []
    estimator, task = type(trainer.experiment.setup.estimator), type(trainer.experiment.task)
    surrogate, terms = estimator.surrogate, task.terms

    def spy_surrogate(self, q, cost, generator):
        assert q.batch_shape == ()
        drawn.append(surrogate(self, q, cost, generator))
        return drawn[-1]

    def spy_terms(*args):
        found = terms(*args)
        lengths.append(found.loss.shape)
        assert (found.loss == drawn[-1]).all()
        return found

    monkeypatch.setattr(estimator, "surrogate", spy_surrogate)
    monkeypatch.setattr(task, "terms", spy_terms)
    trainer.run_epoch(SilentCallback(), StopRequest())
    assert lengths == [torch.Size([50])] * 28 + [torch.Size([37])]  # 1437 images
    assert len(drawn) == 29
    mean = sum(loss.item() * len_[0] for loss, len_ in zip(drawn, lengths, strict=True)) / 1437
    assert trainer.means()["train_loss"] == pytest.approx(mean, rel=1e-5)


@pytest.mark.parametrize("rate", [1.0, 50.0])
def test_the_rate_of_the_scores_is_that_multiple_of_the_learning_rate(rate):
    layer = {"task": {"options": {"score_rate": rate}}, "optimizer": {"lr": 1e-3}}
    trainer = Trainer(build(config(small(), layer)))
    trainer.train_step(torch.arange(50))
    moved = trainer.experiment.model.params.detach().abs()  # Adam's first step is its rate
    assert float(moved.max()) == pytest.approx(1e-3 * rate, rel=0.01)


# --- what is reported -------------------------------------------------------------------------


def by_hand(experiment, z):
    test = experiment.data.test
    x = test.inputs.flatten(1).float() / 16  # grey levels of the digits
    with torch.no_grad():
        logits = experiment.model.classifier(x * z)
    return float((logits.argmax(-1) == test.targets).float().mean()), float(
        torch.nn.functional.cross_entropy(logits, test.targets)
    )


def test_evaluation_is_that_of_the_best_pixels():
    experiment = with_scores(small(k=7))
    z = torch.zeros(64).index_fill(0, experiment.model.slow_scores.detach().topk(7).indices, 1)
    first, second = (experiment.evaluate("test", seed) for seed in (0, 1))
    assert first == second  # no noise in it
    assert (first["test_accuracy"], first["test_cross_entropy"]) == pytest.approx(
        by_hand(experiment, z)
    )


def test_shared_pixels_are_those_of_pairs_of_draws():
    experiment = with_scores(small(k=7))
    q = experiment.setup.distribution(experiment.model.params.detach())
    generator = torch.Generator().manual_seed(0)
    one, other = (q.sample_hard((4000,), generator) for _ in range(2))
    common = (one * other).sum(-1)
    error = float(common.std()) / 4000**0.5
    assert 1 < float(common.mean()) < 6
    assert experiment.evaluate("test", 0)["test_shared"] == pytest.approx(
        float(common.mean()), abs=4 * error
    )


def test_training_accuracy_is_that_of_the_best_pixels_too():
    experiment = with_scores(small(k=7))
    trainer = Trainer(experiment)
    index = torch.arange(50)
    batch = trainer.train.take(index)
    x = batch.inputs.flatten(1).float() / 16
    with torch.no_grad():
        logits = experiment.model.classifier(x * selection(experiment.setup, experiment.model))
    trainer.train_step(index)
    right = float((logits.argmax(-1) == batch.targets).float().mean())
    assert trainer.means()["train_accuracy"] == pytest.approx(right)


def test_without_a_discrete_distribution_the_argmax_is_evaluated():
    experiment = with_scores(small(), {"relaxation": {"name": "test-positive", "options": {}}})
    scores = experiment.model.params.detach()
    found = experiment.evaluate("test", 0)
    assert found["test_accuracy"] == pytest.approx(by_hand(experiment, (scores > 0).float())[0])
    assert found == experiment.evaluate("test", 0)
    chance = torch.special.expm1(-torch.exp(scores)).neg()  # of Gumbel noise above -score
    assert found["test_shared"] == pytest.approx(float(chance.square().sum()), rel=0.1)


def test_a_structure_without_a_discrete_distribution_trains_and_is_drawn(tmp_path):
    layer = {"relaxation": {"name": "test-positive", "options": {}}}
    experiment = trained(small(), layer)
    experiment.draw([], tmp_path)
    assert (tmp_path / "selected.png").exists()
