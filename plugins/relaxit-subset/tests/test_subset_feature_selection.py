"""The task `feature-selection`: it trains, finds planted pixels, and reports what it says."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from matplotlib.image import imread

import relaxit
from relaxit import Capabilities, ConfigurationError, PerturbAndRelax, zoo
from relaxit.cli.app import run
from relaxit.data.dataset import Dataset, Images
from relaxit.training.callbacks import SilentCallback
from relaxit.training.config import resolve
from relaxit.training.experiment import build, build_task
from relaxit.training.loop import Trainer
from relaxit.training.runs.directory import RunDirectory
from relaxit.training.stopping import StopRequest
from relaxit_subset.tasks.feature_selection.figures import COLOUR, overlay
from relaxit_subset.tasks.feature_selection.task import selection

FLAGS = ["--recipe", "feature-selection", "--dataset", "digits", "--device", "cpu"]
PLANTED = (3, 20, 41)
ESTIMATORS = {
    "pathwise": {},
    "st-gumbel": {},
    "straight-through": {},
    "simple": {},
    "imle": {"lam": 200.0},  # against the gradient of the mean over a batch, which is small
}


class Planted(Dataset):
    """Black and white noise of 8 x 8; three of the pixels are the bits of the label."""

    api, name, summary = 1, "test-planted", "three pixels are the label"

    def load(self, folder, download=False):
        bits = torch.randint(2, (1200, 64), generator=torch.Generator().manual_seed(5))
        labels = (bits[:, list(PLANTED)] * torch.tensor([4, 2, 1])).sum(-1)
        pixels = bits.to(torch.uint8) * 255
        return Images(
            train=pixels[:1000],
            test=pixels[1000:],
            size=(8, 8),
            train_labels=labels[:1000],
            test_labels=labels[1000:],
        )


class Unlabelled(Dataset):
    api, name, summary = 1, "test-no-labels", "pictures without labels"

    def load(self, folder, download=False):
        pixels = torch.zeros(40, 64, dtype=torch.uint8)
        return Images(train=pixels, test=pixels[:8], size=(8, 8))


class Positive(PerturbAndRelax):
    """Any subset of 64 pixels; no discrete law is claimed."""

    api, name, summary = 1, "test-positive", "pixels with positive scores"
    capabilities = Capabilities(density=False, discrete_distribution=False, exact_rounding=True)
    event_shape = param_shape = torch.Size([64])
    support = torch.distributions.constraints.unit_interval
    vertices = torch.distributions.constraints.boolean

    def relax(self, scores, temperature):
        return (scores / temperature).sigmoid()

    def argmax(self, scores):
        return (scores > 0).to(scores.dtype)


@pytest.fixture(autouse=True)
def registered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    torch.set_num_threads(1)
    classes = (Planted, Unlabelled, Positive)
    with torch.random.fork_rng():
        for cls in classes:
            relaxit.register(cls)
        yield
        for cls in classes:
            relaxit.unregister(cls)


def config(*layers, dataset="digits"):
    settings = {"data": {"name": dataset}, "device": "cpu"}
    return resolve([*zoo.recipe_layers("feature-selection"), settings, *layers])


def trained(*layers, dataset="digits"):
    trainer = Trainer(build(config(*layers, dataset=dataset)))
    for _ in range(trainer.experiment.config.epochs):
        trainer.run_epoch(SilentCallback(), StopRequest())
        trainer.next_epoch()
    return trainer.experiment


def small(k=5, **more):
    options = {"n": 64, "k": k}
    return {"relaxation": {"options": options}, "model": {"hidden": [16]}, "epochs": 2, **more}


def with_scores(*layers):
    """An untrained experiment with scores of its own for the pixels, all different."""
    experiment = build(config(*layers))
    with torch.no_grad():
        scores = torch.randn(64, generator=torch.Generator().manual_seed(1))
        experiment.model.slow_scores.copy_(scores / 50)
    return experiment


# --- the command line -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """One run of the recipe on the digits: its folder, and what it printed."""
    folder = tmp_path_factory.mktemp("whole")
    start = "from relaxit.cli.app import main; main()"
    command = [sys.executable, "-c", start, "train", *FLAGS, "--epochs", "12", "-o", "k=12"]
    done = subprocess.run(
        [*command, "--validation", "100", "--out", str(folder / "run"), "--json"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "run", done


def test_the_recipe_trains_and_improves(whole):
    folder, done = whole
    rows = RunDirectory(folder).read_metrics()
    for part in ("train", "validation", "test"):
        assert rows[-1][f"{part}_accuracy"] > max(0.8, rows[0][f"{part}_accuracy"])
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    assert rows[-1]["test_cross_entropy"] < rows[0]["test_cross_entropy"]
    assert rows[0]["test_shared"] < rows[-1]["test_shared"] <= 12 + 1e-4  # the law decides
    assert rows[-1]["validation_shared"] == rows[-1]["test_shared"]
    assert not [key for key in rows[-1] if "kl" in key or "elbo" in key]
    assert json.loads(done.stdout)["test_accuracy"] == rows[-1]["test_accuracy"]
    assert "classifier that sees the pixels weighted by one soft sample" in done.stderr
    assert re.search(r"epoch 12/12: loss 0\.\d+, accuracy train \d\d\.\d\d% test \d\d", done.stderr)


def test_the_run_is_evaluated_with_the_same_result(whole, capsys):
    folder, _ = whole
    assert run(["evaluate", str(folder), "--device", "cpu", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    last = RunDirectory(folder).read_metrics()[-1]
    for metric in ("accuracy", "cross_entropy", "shared"):
        assert found[f"test_{metric}"] == pytest.approx(last[f"test_{metric}"], rel=1e-5)


def test_selected_png_shows_k_pixels(whole):
    folder, _ = whole
    assert {p.name for p in folder.glob("*.png")} == {
        "selected.png",
        "inclusion.png",
        "curves.png",
    }
    picture = torch.from_numpy(imread(folder / "selected.png")[..., :3])
    step = picture.shape[0] // 8
    cells = picture[step // 2 :: step, step // 2 :: step]
    red = (cells - torch.tensor(COLOUR)).abs().amax(-1) < 0.01
    assert red.shape == (8, 8)
    assert int(red.sum()) == 12
    inclusion = torch.from_numpy(imread(folder / "inclusion.png")[..., 0])
    step = inclusion.shape[0] // 9  # eight pixels and a line
    cells = inclusion[step // 2 :: step, step // 2 :: step][:8, :8]
    assert float((1 - cells).sum()) == pytest.approx(12, abs=0.3)
    assert float((1 - cells)[red].min()) > float((1 - cells)[~red].max())  # the mode is the best


def test_overlay_by_hand():
    sheet = overlay(torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 0.0, 0.5]), (1, 3))
    torch.testing.assert_close(sheet[0, 0], torch.tensor(COLOUR))
    torch.testing.assert_close(sheet[0, 1:], torch.tensor([[1.0], [0.4]]).expand(2, 3))


REFUSED = {
    "wrong n": (
        ["-o", "n=784"],
        r"chooses among 784 items, but an image has 64 pixels; set -o n=64",
    ),
    "latents": (["--latents", "2"], "learns one subset, got 2 latents; set --latents 1"),
    "k > n": (["-o", "k=65"], "k = 65 exceeds n = 64"),
    "no labels": (["--dataset", "test-no-labels", "-o", "n=64"], "needs labels, which data set"),
    "scalar": (["--relaxation", "binary"], "vectors with one entry per pixel.*try --relaxation s"),
    "KL": (["--kl", "relaxed"], "task 'feature-selection' has no KL term"),
    "estimator": (
        ["--relaxation", "test-positive", "--estimator", "simple"],
        "the discrete distribution",
    ),
    "rate": (["--task-option", "score_rate=0"], "score_rate.*greater than 0"),
}


@pytest.mark.parametrize(("flags", "message"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused_in_a_line(flags, message, capsys):
    assert run(["train", *FLAGS, "--out", "run", *flags]) == 2
    err = capsys.readouterr().err
    (line,) = [line for line in err.splitlines() if line.startswith("error:")]
    assert err.endswith(line + "\n")
    assert re.search(message, line)
    assert not Path("run").exists()


def test_the_relu_of_an_encoder_is_refused():
    with pytest.raises(ConfigurationError, match="no encoder"):
        build_task(config({"model": {"params_activation": "relu"}}))


# --- the recipe -------------------------------------------------------------------------------


@pytest.mark.parametrize(("dataset", "pixels"), [("mnist", 784), ("digits", 64)])
def test_the_recipe_fits_its_data_sets(dataset, pixels):
    given = {"data": {"name": "digits"}} if dataset == "digits" else {}
    found = resolve([*zoo.recipe_layers("feature-selection"), given])
    assert (found.data.name, found.recipe, found.latents) == (dataset, "feature-selection", 1)
    task, setup = build_task(found)
    assert task.name == "feature-selection"
    assert setup.relaxation.name == "subset"
    assert setup.relaxation.options.n == pixels
    again = resolve([*zoo.recipe_layers("feature-selection"), given, small(k=3)])
    assert again.relaxation.options["k"] == 3


def test_the_recipe_is_in_the_zoo(capsys):
    assert run(["zoo", "list"]) == 0
    assert "feature-selection" in capsys.readouterr().out
    assert zoo.recipe_summary(zoo.find_recipe("feature-selection")).startswith("the k MNIST pixels")


# --- what is learned --------------------------------------------------------------------------


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
    rate = {"task": {"options": {"score_rate": 20.0}}}
    experiment = trained(layer, rate, {"model": {"hidden": [32]}}, dataset="test-planted")
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
    assert lengths == [torch.Size([50])] * 28 + [torch.Size([37])]  # 1437 pictures
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
    part = experiment.images.part("test", labels=True)
    x = part.images.float() / part.levels
    with torch.no_grad():
        logits = experiment.model.classifier(x * z)
    return float((logits.argmax(-1) == part.labels).float().mean()), float(
        torch.nn.functional.cross_entropy(logits, part.labels)
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
    x = batch.images.float() / batch.levels
    with torch.no_grad():
        logits = experiment.model.classifier(x * selection(experiment.setup, experiment.model))
    trainer.train_step(index)
    right = float((logits.argmax(-1) == batch.labels).float().mean())
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


# --- the example ------------------------------------------------------------------------------

EXAMPLE = Path(__file__).parents[1] / "examples" / "feature_selection.py"


def load_example():
    spec = importlib.util.spec_from_file_location("example_feature_selection", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example_prints_a_table_and_draws(tmp_path):
    flags = ["--dataset", "digits", "--ks", "4", "12", "--seeds", "1", "--epochs", "6"]
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), *flags, "--fit-epochs", "6", "--plot", "picture.png"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    head, *lines = done.stdout.splitlines()
    assert re.search(r"k = 4 +k = 12$", head)
    assert [line.split()[0] for line in lines] == [
        "learned",
        "SelectKBest,",
        "SelectKBest,",
        "random",
    ]
    for line in lines:
        few, many = map(float, re.findall(r"(\d+\.\d+) ±", line))
        assert 10 < few < many <= 100
    picture = imread("picture.png")[..., :3]
    assert min(picture.shape[:2]) > 300
    red = abs(picture - torch.tensor(COLOUR).numpy()).max(-1) < 0.02
    assert red.mean() > 0.01


def test_selections_of_the_example_have_k_pixels_and_see_no_test_images():
    example = load_example()
    images = build(config()).images
    spoiled = Images(
        train=images.train,
        test=images.test[:0],
        size=images.size,
        levels=images.levels,
        train_labels=images.train_labels,
        test_labels=images.test_labels[:0],
    )
    first, second = (example.ranked(part, 0) for part in (images, spoiled))
    for name, ranking in first.items():
        support = ranking.set_params(k=6).get_support()
        assert support.sum() == 6
        assert (support == second[name].set_params(k=6).get_support()).all()
    assert example.drawn(64, 6, 0).sum() == 6
    assert not torch.equal(example.drawn(64, 6, 0), example.drawn(64, 6, 1))


def test_the_networks_of_the_example_see_the_chosen_pixels_only():
    example = load_example()
    images = Planted().load(Path())
    chosen = torch.zeros(64).index_fill(0, torch.tensor(PLANTED), 1.0)
    assert example.accuracy(images, chosen, 0, "digits", 8) == 1
    assert example.accuracy(images, 1 - chosen, 0, "digits", 8) < 0.3  # eight classes
