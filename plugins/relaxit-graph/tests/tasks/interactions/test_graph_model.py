"""The networks of the task: messages follow edges, nodes may be renamed, errors are as by hand."""

from __future__ import annotations

import pytest
import torch

from relaxit_graph.tasks.interactions import InteractionModel


def model(features=4):
    torch.manual_seed(0)
    made = InteractionModel(features, 16)
    made.fit_scales(trajectories(features=features))
    return made


def trajectories(count=6, frames=5, nodes=4, features=4):
    generator = torch.Generator().manual_seed(1)
    return 3 + 2 * torch.randn(count, frames, nodes, features, generator=generator).cumsum(1)


def graph(nodes, *edges):
    found = torch.zeros(nodes, nodes)
    for i, j in edges:
        found[i, j] = found[j, i] = 1
    return found


def test_a_node_hears_only_those_it_is_joined_to():
    m, x = model(), trajectories()
    moved = x.clone()
    moved[:, :, 3] += 1
    adjacency = graph(4, (0, 1), (1, 3))
    change = (m.predict(moved, adjacency) - m.predict(x, adjacency)).abs().amax((0, 1, 3))
    assert not change[[0, 2]].any()
    assert change[[1, 3]].min() > 1e-3


def test_the_weight_of_an_edge_is_that_of_its_message():
    """Half an edge to each of two nodes in the same state is an edge to one of them."""
    m, x = model(), trajectories()
    x[:, :, 2] = x[:, :, 1]
    half = graph(4, (0, 1), (0, 2)) / 2
    whole = graph(4, (0, 1))
    torch.testing.assert_close(m.predict(x, half)[:, :, 0], m.predict(x, whole)[:, :, 0])


@pytest.mark.parametrize("features", [1, 4])
def test_renaming_nodes_renames_scores_and_predictions(features):
    m, x = model(features), trajectories(features=features)
    order, adjacency = torch.tensor([2, 0, 3, 1]), graph(4, (0, 1), (1, 3))
    scores = m.scores(x)
    torch.testing.assert_close(scores, scores.mT)
    torch.testing.assert_close(m.scores(x[:, :, order]), scores[:, order][:, :, order])
    predicted = m.predict(x[:, :, order], adjacency[order][:, order])
    torch.testing.assert_close(predicted, m.predict(x, adjacency)[:, :, order])


@pytest.mark.parametrize("horizon", [1, 2, 4])
def test_errors_are_those_of_predictions_one_by_one(horizon):
    m, x = model(), trajectories()
    adjacency = torch.rand(3, 6, 4, 4)  # three samples for each trajectory
    found = m.errors(x, adjacency, horizon)
    by_hand = torch.zeros(3, 6)
    for sample in range(3):
        for row in range(6):
            for start in range(5 - horizon):
                state = x[row, start].unsqueeze(0)
                for ahead in range(1, horizon + 1):
                    state = m.predict(state, adjacency[sample, row])
                    error = (state[0] - x[row, start + ahead]) / m.change
                    by_hand[sample, row] += error.square().sum() / horizon
    torch.testing.assert_close(found, by_hand)


def test_units_change_no_score_and_no_error():
    """Scales are fitted: metres or millimetres, and any origin."""
    x, units, origin = trajectories(), torch.tensor([1e3, 1.0, 1e-3, 10.0]), 5.0
    first, other = model(), model()
    other.fit_scales(x * units + origin)
    torch.testing.assert_close(
        other.scores(x * units + origin), first.scores(x), rtol=1e-3, atol=1e-4
    )
    adjacency = graph(4, (0, 1), (1, 3))
    errors = [m.errors(y, adjacency, 2) for m, y in ((first, x), (other, x * units + origin))]
    torch.testing.assert_close(*errors, rtol=1e-3, atol=1e-3)


def test_a_feature_that_never_changes_is_allowed():
    m, x = model(), trajectories()
    x[..., 2] = 7.0
    m.fit_scales(x)
    assert m.errors(x, graph(4, (0, 1)), 1).isfinite().all()
    assert m.scores(x).isfinite().all()
