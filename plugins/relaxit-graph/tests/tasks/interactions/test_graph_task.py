"""The task `interactions`: what it minimises and counts, and that it finds the springs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from matplotlib.image import imread

import relaxit
from relaxit import ConfigurationError, zoo
from relaxit.data import Examples, Splits
from relaxit.training import Setup, Step, build, resolve, train
from relaxit_graph.tasks.interactions import Interactions, Springs

STRUCTURES = {
    "spanning-tree": {"nodes": 5},
    "edges": {"nodes": 5},
    "arborescence": {"nodes": 5},
    "k-edges": {"nodes": 5, "edges": 4},
    "subset": {"n": 10, "k": 4},
}


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def setup(name="spanning-tree", estimator="pathwise"):
    if name in ("k-edges", "subset"):
        pytest.importorskip("relaxit_subset")
    return Setup(relaxit.get(name, **STRUCTURES[name]), relaxit.estimator(estimator))


def simulated(rows=12):
    return Springs(train=rows, test=rows, frames=6).load(Path())


def built(task, s, data):
    torch.manual_seed(0)
    model = task.build(s, data.format)
    task.prepare(s, model, data)
    return model


def knowing(model, graphs, sharpness=20.0):
    """Make the encoder return scores of these graphs, whatever it sees."""
    model.scores = lambda inputs: sharpness * (2 * graphs.float() - 1)
    return model


# --- what is minimised ------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", ["pathwise", "st-gumbel"])
@pytest.mark.parametrize("name", STRUCTURES)
def test_every_structure_moves_every_weight(name, estimator):
    task, s, data = Interactions(), setup(name, estimator), simulated()
    task.check(s)
    model = built(task, s, data)
    found = task.terms(s, model, data.train, Step(torch.tensor(0.7), rng()))
    assert found.loss.shape == (12,)
    found.loss.mean().backward()
    for weight_name, weight in model.named_parameters():
        assert weight.grad.isfinite().all()
        if weight_name != "encoder.score.2.bias":  # a constant in all scores changes no tree
            assert weight.grad.abs().max() > 0, weight_name
    kind = "soft" if estimator == "pathwise" else "hard"
    assert f"with {kind} graphs of {s.relaxation!r}" in task.statement(s)


@pytest.mark.parametrize("kl", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("deviation", [0.5, 1.0])
def test_the_loss_is_error_and_divergence_by_hand(kl, deviation):
    task, s, data = Interactions(kl=kl, deviation=deviation, horizon=2), setup(), simulated()
    model = built(task, s, data)
    with torch.no_grad():  # scores are near zero at first, where there is no divergence
        model.encoder.score[2].weight.mul_(100)
    found = task.terms(s, model, data.train, Step(torch.tensor(0.7), rng())).loss
    q = s.relaxation(model.scores(data.train.inputs), 0.7)
    error = model.errors(data.train.inputs, q.rsample((), rng()), 2)
    divergence = s.relaxation.kl_to_uniform(q.params)
    assert float(divergence.detach().mean()) > 0.1
    expected = error / (2 * deviation**2) + kl * divergence
    torch.testing.assert_close(found, expected)


# --- what is counted --------------------------------------------------------------------------


@pytest.mark.parametrize("name", STRUCTURES)
def test_who_knows_the_graphs_finds_every_edge(name):
    task, s, data = Interactions(), setup(name), simulated()
    model = knowing(built(task, s, data), data.test["adjacency"])
    with torch.no_grad():
        found = task.evaluate(s, model, data.test, 0)
    assert (found["precision"], found["recall"], found["f1"]) == (1, 1, 1)
    assert found["loss"] == pytest.approx(found["squared_error"] * 5 * 5 * 4 / 2, rel=1e-5)


def test_shares_are_those_of_edges_found_and_of_edges_there():
    """Half of the graphs are empty, and the others have three edges too many."""
    task, s, data = Interactions(), setup("edges"), simulated(20)
    true = data.test["adjacency"].clone()
    inferred = true.clone()
    inferred[:10] = 0
    for graph in inferred[10:]:
        for i, j in (graph == 0).triu(1).nonzero()[:3].tolist():
            graph[i, j] = graph[j, i] = 1
    with torch.no_grad():
        found = task.evaluate(s, knowing(built(task, s, data), inferred), data.test, 0)
    assert found["precision"] == pytest.approx(40 / 70)
    assert found["recall"] == pytest.approx(40 / 80)
    assert found["f1"] == pytest.approx(2 * 40 / (70 + 80))


def test_no_edge_at_all_is_no_division_by_zero():
    task, s, data = Interactions(), setup("edges"), simulated()
    model = knowing(built(task, s, data), torch.zeros(12, 5, 5))
    with torch.no_grad():
        found = task.evaluate(s, model, data.test, 0)
    assert (found["precision"], found["recall"], found["f1"]) == (0, 0, 0)


def test_trajectories_without_known_graphs_are_enough(tmp_path):
    task, s, data = Interactions(), setup(), simulated()
    data = Splits(data.train.select(["inputs"]), data.test.select(["inputs"]))
    model = built(task, s, data)
    with torch.no_grad():
        assert task.evaluate(s, model, data.test, 0).keys() == {"loss", "squared_error", "kl"}
        task.draw(s, model, data, [], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["graphs.png"]


# --- training ---------------------------------------------------------------------------------


def test_it_finds_springs_without_labels(tmp_path):
    settings = {"device": "cpu", "engine": "eager", "epochs": 2}
    layers = [*zoo.recipe_layers("interactions-tree"), settings]
    experiment = build(resolve([*layers, {"data": {"options": {"train": 1000, "test": 200}}}]))
    rows = train(experiment).rows
    assert rows[-1]["train_loss"] < 0.5 * rows[0]["train_loss"]
    assert rows[-1]["test_recall"] > 0.75  # a random tree has 0.4 of the edges
    experiment.draw(rows, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*Interactions.files}
    image = imread(tmp_path / "graphs.png")
    assert min(image.shape[:2]) > 500
    assert image[..., :3].std() > 0.05


@pytest.mark.parametrize("frames", [2, 3])
def test_horizons_that_do_not_fit_are_rejected(frames):
    part = Examples.of(inputs=torch.randn(9, frames, 5, 4))
    with pytest.raises(
        ConfigurationError, match=rf"{frames} frames .* set -t horizon={frames - 1}"
    ):
        Interactions(horizon=3).build(setup(), Splits(part).format)


def test_a_known_graph_of_other_nodes_is_rejected():
    part = Examples.of(inputs=torch.randn(9, 4, 5, 4), adjacency=torch.zeros(9, 4, 4).byte())
    with pytest.raises(
        ConfigurationError, match=r"5 nodes, but a column adjacency of shape \[4, 4\]"
    ):
        Interactions().build(setup(), Splits(part).format)
