"""The task `jigsaw`: what it counts, what it minimises, and its network."""

from __future__ import annotations

import pytest
import torch
from marked_pieces import SIX, Knows, knowing, marked, random_images, setup
from seeded_steps import rng, step

from relaxit_permutation.gumbel_sinkhorn.permutation import Permutation
from relaxit_permutation.plackett_luce.permutation_plackett_luce import PermutationPlackettLuce
from relaxit_permutation.tasks.jigsaw.puzzle import Grid, shuffled
from relaxit_permutation.tasks.jigsaw.task import Jigsaw, Solver

# --- what is counted --------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 1e-4])  # noise would drown the second
@pytest.mark.parametrize("blanks", [(), (0, 2, 5, 8)])
def test_who_knows_the_places_solves_every_image(scale, blanks):
    class Sees(Knows):
        def forward(self, pieces):  # a blank piece fits any of the blank places equally well
            scores = super().forward(pieces)
            places = torch.zeros(9, 1).index_fill(0, torch.tensor(blanks, dtype=torch.long), 1)
            blank = (pieces.amax(-1) == 0).float().unsqueeze(-2)
            return torch.where(blank > 0, -self.scale * 100 * (1 - places), scores)

    found = Jigsaw().evaluate(setup(), knowing(scale, Sees), marked(50, blanks), 0)
    assert found == {"in_place": 1, "solved": 1, "squared_error": 0}


def test_shares_are_those_of_places_and_of_images():
    class Confuses(Knows):
        """Exchanges places 3 and 7 in every image whose first piece is one of the first two."""

        def forward(self, pieces):
            right = super().forward(pieces)
            wrong = right[:, [0, 1, 2, 7, 4, 5, 6, 3, 8]]
            return torch.where(pieces[:, :1, :1] * 255 < 51, wrong, right)

    found = Jigsaw().evaluate(setup(), knowing(scorer=Confuses), marked(900), 0)
    bad = 1 - found["solved"]
    assert 0.15 < bad < 0.3
    assert found["in_place"] == pytest.approx(1 - bad * 2 / 9)
    assert found["squared_error"] == pytest.approx(bad * 2 / 9 * (4 * 25 / 255) ** 2, rel=1e-4)


def test_parts_of_any_size_are_counted_alike(monkeypatch):
    monkeypatch.setattr("relaxit_permutation.tasks.jigsaw.task.ROWS", 7)
    found = Jigsaw().evaluate(setup(), knowing(), marked(31), 0)
    assert found["in_place"] == found["solved"] == 1


def test_the_same_seed_gives_the_same_puzzles_another_others():
    """Seen by who knows nothing, and puts the pieces where they lie."""
    blind = Solver(Grid((6, 6), 3), lambda pieces: torch.eye(9).expand(len(pieces), 9, 9))
    first, again, other = (
        Jigsaw().evaluate(setup(), blind, marked(500), seed) for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other
    assert first["in_place"] == pytest.approx(1 / 9, abs=4 * (8 / 81 / 4500) ** 0.5)


def test_who_sees_the_pieces_does_as_well_in_whatever_order_they_lie():
    torch.manual_seed(0)
    model = Jigsaw(hidden=(16,)).build(setup(), SIX).eval()
    images = random_images(60)
    first, other = (Jigsaw().evaluate(setup(), model, images, seed) for seed in (0, 1))
    assert first == pytest.approx(other, rel=1e-5)


# --- what is minimised ------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [1, 3])
def test_the_loss_is_the_mean_over_samples_of_soft_images(samples):
    task, s = Jigsaw(samples=samples, context=0, hidden=(16,)), setup()
    torch.manual_seed(0)
    model = task.build(s, SIX)
    images = random_images(20)
    found = task.terms(s, model, images, step(temperature=0.7)).loss
    generator, x = rng(), images.inputs.flatten(1)
    puzzle = shuffled(model.grid.cut(x), generator)
    params = model(puzzle.pieces).expand(samples, 20, 9, 9)
    soft = s.relaxation(params, 0.7).rsample((), generator)
    by_hand = torch.zeros(20)
    for p in soft:
        mixed = [(p[:, i, :, None] * puzzle.pieces).sum(1) for i in range(9)]
        by_hand += (model.grid.joined(torch.stack(mixed, 1)) - x).square().mean(-1) / samples
    torch.testing.assert_close(found, by_hand)


def test_great_scores_of_who_knows_cost_nothing():
    model = knowing(1e4)
    loss = Jigsaw().terms(setup(), model, marked(20), step()).loss
    assert loss.shape == (20,)
    assert float(loss.max()) < 1e-6
    opposite = Solver(model.grid, lambda pieces: model.scorer(pieces).flip(-2))
    assert float(Jigsaw().terms(setup(), opposite, marked(20), step()).loss.min()) > 0.01


@pytest.mark.parametrize(
    ("relaxation", "estimator"),
    [
        (Permutation, "pathwise"),
        (Permutation, "st-gumbel"),
        (PermutationPlackettLuce, "pathwise"),
        (PermutationPlackettLuce, "straight-through"),
    ],
)
def test_every_structure_and_estimator_trains(relaxation, estimator):
    task, s = Jigsaw(samples=2, hidden=(16,)), setup(9, estimator, relaxation)
    task.check(s)
    torch.manual_seed(0)
    model = task.build(s, SIX)
    images = random_images(20)
    task.terms(s, model, images, step()).loss.mean().backward()
    weights = dict(model.named_parameters())
    assert all(w.grad.isfinite().all() for w in weights.values())
    assert weights["scorer.network.0.weight"].grad.abs().max() > 0
    kind = "soft" if estimator == "pathwise" else "hard"
    assert f"by {kind} permutations" in task.statement(s)


# --- the network ------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("context", [0, 2])
def test_scores_follow_their_pieces(context, training):
    torch.manual_seed(0)
    model = Jigsaw(context=context, hidden=(16,)).build(setup(), SIX).train(training)
    pieces, order = torch.rand(5, 9, 4), torch.randperm(9)
    found = model(pieces)
    assert found.shape == (5, 9, 9)
    torch.testing.assert_close(model(pieces[:, order]), found[..., order])
    other = pieces.clone()
    other[:, 8] = 0  # another piece: of it a network with context knows
    moved = (model(other) - found).abs().amax((0, 1))
    assert moved[8] > 1e-3
    assert (moved[:8] > 1e-5).all() == (context > 0)
    assert (moved[:8] == 0).all() == (context == 0)


def test_nothing_in_evaluation_is_left_to_chance():
    torch.manual_seed(0)
    model, pieces = Jigsaw(hidden=(16,)).build(setup(), SIX), torch.rand(5, 9, 4)
    torch.testing.assert_close(model.train()(pieces), model.eval()(pieces))  # no dropout
