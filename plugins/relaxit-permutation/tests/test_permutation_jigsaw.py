"""The task `jigsaw`: cutting and joining, what it minimises and counts, and that it learns."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import pytest
import torch
from matplotlib.image import imread
from scipy import stats
from torch import nn

import relaxit
from relaxit import ConfigurationError, zoo
from relaxit.cli.app import run
from relaxit.data.dataset import Dataset, Format, Images, Part
from relaxit.training.config import ModelConfig, resolve
from relaxit.training.experiment import build_task
from relaxit.training.runs.directory import RunDirectory
from relaxit.training.task import Setup, Step
from relaxit_permutation.gumbel_sinkhorn.permutation import Permutation
from relaxit_permutation.plackett_luce.permutation_plackett_luce import PermutationPlackettLuce
from relaxit_permutation.tasks.jigsaw.figures import WRONG, draw_puzzles, strip
from relaxit_permutation.tasks.jigsaw.puzzle import Grid, Puzzle, arranged, shuffled
from relaxit_permutation.tasks.jigsaw.task import Jigsaw, Solver

FLAGS = ["--recipe", "jigsaw", "--dataset", "digits", "--device", "cpu", "--quiet"]
SIX = Format((6, 6), 255)  # nine pieces of 2x2


class Wide(Dataset):
    """Pictures of 6x7 pixels."""

    api, name, summary = 1, "test-wide", "pictures that no grid divides"

    def load(self, folder, download=False):
        rows = torch.zeros(9, 42, dtype=torch.uint8)
        return Images(rows, rows, (6, 7))


@pytest.fixture(autouse=True)
def registered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    relaxit.register(Wide)
    yield
    relaxit.unregister(Wide)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def setup(n=9, estimator="pathwise", relaxation=Permutation, hidden=(16,), **more):
    networks = ModelConfig(hidden=hidden, **more)
    return Setup(relaxation(n=n), relaxit.estimator(estimator), latents=1, networks=networks)


def step(seed=0, temperature=1.0):
    return Step(torch.tensor(temperature), 1.0, rng(seed))


def marked(count=4, blanks=()):
    """Pictures of nine pieces: the pixels of piece i are all 25 (i + 1), or 0 if it is blank."""
    values = torch.tensor([0 if i in blanks else 25 * (i + 1) for i in range(9)])
    pieces = values[None, :, None].expand(count, 9, 4)
    return Part(Grid((6, 6), 3).joined(pieces).to(torch.uint8), 255)


class Knows(nn.Module):
    """Reads from the mark of a piece where it belongs: scores -(place - mark)^2 for each place."""

    def __init__(self, scale=1.0):
        super().__init__()
        self.scale = scale

    def forward(self, pieces):  # [B, n, F] -> [B, places, pieces]
        mark = pieces.mean(-1) * 255 / 25 - 1
        places = torch.arange(pieces.shape[1])[:, None]
        return -self.scale * (places - mark.unsqueeze(-2)).square()


def knowing(scale=1.0, scorer=Knows):
    return Solver(Grid((6, 6), 3), scorer(scale))


# --- cutting, shuffling, joining --------------------------------------------------------------


def test_pieces_are_those_of_the_grid_row_by_row():
    picture = torch.arange(24).reshape(1, 4, 6)
    grid = Grid((4, 6), 2)
    pieces = grid.cut(picture.flatten(1))
    assert pieces.shape == (1, 4, 6)
    assert torch.equal(pieces[0, 0].reshape(2, 3), picture[0, :2, :3])
    assert torch.equal(pieces[0, 1].reshape(2, 3), picture[0, :2, 3:])
    assert torch.equal(pieces[0, 2].reshape(2, 3), picture[0, 2:, :3])
    assert torch.equal(pieces[0, 3].reshape(2, 3), picture[0, 2:, 3:])


@pytest.mark.parametrize(("size", "side"), [((4, 6), 2), ((6, 6), 3), ((8, 4), 4), ((5, 5), 1)])
def test_joining_undoes_cutting(size, side):
    grid, images = Grid(size, side), torch.rand(3, size[0] * size[1])
    assert torch.equal(grid.joined(grid.cut(images)), images)


def test_a_known_shuffle_is_undone():
    solution = torch.rand(50, 9, 4, generator=rng())
    puzzle = shuffled(solution, rng(1))
    noise = torch.rand(50, 9, generator=rng(1))
    came_from = noise.argsort(-1)  # piece j of the puzzle is piece came_from[j] of the picture
    order = came_from.argsort(-1)
    assert torch.equal(arranged(puzzle.pieces, order), solution)
    assert puzzle.in_place(order).all()
    p = torch.nn.functional.one_hot(order, 9).float()  # rows are places, columns pieces
    torch.testing.assert_close(p @ puzzle.pieces, solution)
    assert (puzzle.in_place(came_from)).float().mean() < 0.3  # the inverse is another order


def test_all_orders_are_equally_likely():
    solution = torch.arange(3.0).expand(6000, 3).unsqueeze(-1)
    found = shuffled(solution, rng()).pieces.squeeze(-1).long().tolist()
    counts = [found.count(list(order)) for order in itertools.permutations(range(3))]
    assert sum(counts) == 6000
    assert stats.chisquare(counts).pvalue > 1e-4


def test_places_are_right_by_their_pixels():
    solution = torch.tensor([[[0.0, 0.0], [1.0, 0.5], [0.0, 0.0], [1.0, 0.25]]])
    puzzle = Puzzle(solution, solution)
    right = puzzle.in_place(torch.tensor([[2, 1, 0, 3]]))  # the blank ones are exchanged
    assert right.tolist() == [[True] * 4]
    right = puzzle.in_place(torch.tensor([[0, 3, 2, 1]]))  # half of their pixels agree
    assert right.tolist() == [[True, False, True, False]]


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
        """Exchanges places 3 and 7 in every picture whose first piece is one of the first two."""

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
    monkeypatch.setattr("relaxit_permutation.tasks.jigsaw.task._ROWS", 7)
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
    model = Jigsaw().build(setup(), SIX).eval()
    images = Part(torch.randint(256, (60, 36), generator=rng()).to(torch.uint8), 255)
    first, other = (Jigsaw().evaluate(setup(), model, images, seed) for seed in (0, 1))
    assert first == pytest.approx(other, rel=1e-5)


# --- what is minimised ------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [1, 3])
def test_the_loss_is_the_mean_over_samples_of_soft_images(samples):
    task, s = Jigsaw(samples=samples, context=0), setup()
    torch.manual_seed(0)
    model = task.build(s, SIX)
    images = Part(torch.randint(256, (20, 36), generator=rng()).to(torch.uint8), 255)
    found = task.terms(s, model, images, step(temperature=0.7)).loss
    generator, x = rng(), images.images / 255
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
    task, s = Jigsaw(samples=2), setup(9, estimator, relaxation)
    task.check(s)
    torch.manual_seed(0)
    model = task.build(s, SIX)
    images = Part(torch.randint(256, (20, 36), generator=rng()).to(torch.uint8), 255)
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
    model = Jigsaw(context=context).build(setup(), SIX).train(training)
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
    model, pieces = Jigsaw().build(setup(), SIX), torch.rand(5, 9, 4)
    torch.testing.assert_close(model.train()(pieces), model.eval()(pieces))  # no dropout


# --- pictures ---------------------------------------------------------------------------------


def test_a_strip_shows_pieces_in_black_and_wrong_ones_in_colour():
    grid = Grid((2, 2), 2)
    pieces = torch.tensor([[[1.0], [0.0], [0.5], [1.0]]])
    right = torch.tensor([[True, True, True, False]])
    sheet = strip(grid, pieces, right)
    height = sheet.shape[0]
    places = [(1, 1), (1, 3), (3, 1), (3, 3)]
    seen = [sheet[height * row // 4, height * column // 4] for row, column in places]
    torch.testing.assert_close(seen[0], torch.zeros(3))
    torch.testing.assert_close(seen[1], torch.ones(3))
    torch.testing.assert_close(seen[2], torch.full((3,), 0.5))
    torch.testing.assert_close(seen[3], torch.tensor(WRONG))
    blank = strip(grid, torch.zeros_like(pieces), right)[height * 3 // 4, height * 3 // 4]
    assert blank[0] > blank[1] + 0.05  # a wrong place shows even where it is blank
    assert not (strip(grid, pieces)[..., 0] > strip(grid, pieces)[..., 1] + 0.01).any()


@pytest.mark.parametrize("count", [1, 20])
def test_the_sheet_has_three_rows_a_block(tmp_path, count):
    puzzle = shuffled(torch.rand(count, 4, 16, generator=rng()), rng(1))
    draw_puzzles(Grid((8, 8), 2), puzzle, torch.arange(4).expand(count, 4), tmp_path / "a.png")
    picture = torch.from_numpy(imread(tmp_path / "a.png"))[..., :3]
    blank = (picture > 0.99).all(-1).all(-1)
    blocks = int((blank[1:] & ~blank[:-1]).sum()) + int(not blank[-1])
    assert blocks == 3 * -(-count // 10)


# --- the command line -------------------------------------------------------------------------


def train(*flags):
    assert run(["train", *FLAGS, *flags]) == 0


def metrics(folder):
    return RunDirectory(Path(folder)).read_metrics()


def test_the_recipe_learns_and_is_evaluated_with_the_same_result(capsys):
    train("--epochs", "6", "--validation", "200", "--out", "run")
    rows = metrics("run")
    assert rows[-1]["test_in_place"] > max(0.8, rows[0]["test_in_place"])
    assert rows[-1]["test_solved"] > 0.6  # blindly one in 24, and more with blank pieces
    assert rows[-1]["validation_in_place"] > 0.8
    assert rows[-1]["train_loss"] < 0.5 * rows[0]["train_loss"]
    assert {p.name for p in Path("run").glob("*.png")} == {"jigsaw.png", "curves.png"}
    capsys.readouterr()
    assert run(["evaluate", "run", "--device", "cpu", "--json", "--seed", "3"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["test_in_place"] == pytest.approx(rows[-1]["test_in_place"], abs=0.01)
    assert found["test_solved"] == pytest.approx(rows[-1]["test_solved"], abs=0.02)


def test_resumed_equals_undisturbed_to_the_bit():
    constant = ("--lr-schedule", "constant", "--batch-size", "300")
    train("--epochs", "3", *constant, "--out", "whole")
    train("--epochs", "1", *constant, "--out", "part")
    assert run(["train", "--resume", "part", "--epochs", "3", "--quiet"]) == 0
    for ours, theirs in zip(metrics("whole")[1:], metrics("part")[1:], strict=True):
        for key in ours.keys() - {"seconds", "images_per_second", "learning_rate"}:
            assert ours[key] == theirs[key], key


REFUSED = {
    "no square": (["-o", "n=6"], "square grid of pieces, and 6 is not a square number; set -o n=4"),
    "no divisor": (
        ["-o", "n=9"],
        "8x8 pixels cannot be cut into 3x3 equal pieces; set -o n=4 or n=16 or n=64",
    ),
    "no grid": (["--dataset", "test-wide"], "6x7 .* 2x2 equal pieces; choose another --dataset"),
    "latents": (["--latents", "3"], "one order per example, got 3 latents; set --latents 1"),
    "shape": (["--relaxation", "binary"], r"needs values \[n, n\].*try --relaxation permutation"),
    "estimator": (["--estimator", "straight-through"], "needs the discrete distribution"),
    "context": (["--task-option", "context=-1"], "context.*greater than or equal to 0"),
    "KL": (["--kl-warmup", "0.5"], "task 'jigsaw' has no KL term"),
}


@pytest.mark.parametrize(("flags", "message"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused_in_a_line(flags, message, capsys):
    assert run(["train", *FLAGS, "--out", "run", *flags]) == 2
    err = capsys.readouterr().err
    (line,) = [line for line in err.splitlines() if line.startswith("error:")]
    assert re.search(message, line)
    assert not Path("run").exists()


@pytest.mark.parametrize("hidden", [(), (16, 30)])
def test_attention_needs_a_width_that_its_heads_divide(hidden):
    with pytest.raises(ConfigurationError, match=r"multiple of 4, got .*context=0"):
        Jigsaw().check(setup(hidden=hidden))
    Jigsaw(context=0).check(setup(hidden=hidden))


def test_the_relu_of_an_encoder_is_refused():
    with pytest.raises(ConfigurationError, match="no encoder"):
        Jigsaw().check(setup(params_activation="relu"))


@pytest.mark.parametrize("n", [4, 16])
@pytest.mark.parametrize(("dataset", "size"), [("mnist", (28, 28)), ("digits", (8, 8))])
def test_the_recipe_fits_its_data_sets(dataset, size, n):
    given = {"data": {"name": "digits"}} if dataset == "digits" else {}
    found = resolve([*zoo.recipe_layers("jigsaw"), given, {"relaxation": {"options": {"n": n}}}])
    assert found.data.name == dataset
    task, s = build_task(found)
    assert task.build(s, Format(size)).grid.side ** 2 == n
