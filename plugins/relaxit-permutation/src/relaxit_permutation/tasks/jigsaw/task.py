"""Jigsaw puzzles as a task: images are cut into pieces, shuffled and reassembled.

A network f scores the n pieces of an image for the n places of a square grid. The relaxed
permutation P of these scores puts the pieces back, softly in training:

    minimise over f   E_{P ~ q(f(pieces))} [ mean over pixels of  (P pieces - image)^2 ].

No labels are needed. Evaluation uses the best permutation without noise.

Reference: Mena, Belanger, Linderman, Snoek, "Learning Latent Permutations with Gumbel-Sinkhorn
Networks", arXiv:1802.08665, section 5.2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from relaxit import ConfigurationError, Options, Task
from relaxit.data import Examples, Format, Requirement, Splits
from relaxit.training import Display, Row, Setup, Step, Terms
from relaxit_permutation.tasks.jigsaw.figures import draw_puzzles
from relaxit_permutation.tasks.jigsaw.puzzle import Grid, arranged, shuffled
from relaxit_permutation.tasks.ordering import best_order, check_order, distributions
from relaxit_permutation.tasks.sorting_numbers.model import HEADS, Scorer

__all__ = ["ROWS", "Jigsaw", "Solver"]

ROWS = 1000
"""Number of images evaluated at a time."""
_SHOWN = 20  # puzzles in the figure


class JigsawOptions(Options):
    """Options of :class:`Jigsaw`."""

    samples: int = Field(
        1, ge=1, description="number of permutations drawn for each image in a step"
    )
    context: int = Field(
        2,
        ge=0,
        description="number of self-attention layers between pieces; 0 scores each separately",
    )
    hidden: tuple[PositiveInt, ...] = Field(
        (128,), description="hidden units of the network that scores a piece"
    )


class Solver(nn.Module):
    """The grid of the pieces, and the network that scores pieces for the places."""

    def __init__(self, grid: Grid, scorer: Scorer) -> None:
        super().__init__()
        self.grid = grid
        self.scorer = scorer

    def forward(self, pieces: Tensor) -> Tensor:
        """Map pieces ``[B, n, F]`` to params ``[B, *param_shape]``."""
        params: Tensor = self.scorer(pieces)
        return params


class Jigsaw(Task):
    """Learn to put shuffled pieces of images in their places.

    The n pieces form a square grid: 4 are 2x2, 9 are 3x3. The metrics are ``in_place``, the share
    of places with the right pixels; ``solved``, the share of images in which all places have the
    right pixels; and ``squared_error`` per pixel. A place is right if its pixels are, so pieces
    with the same pixels, such as blank pieces at the edge of a digit, are interchangeable.

    Example:
        >>> import relaxit
        >>> permutation, pathwise = relaxit.get("permutation", n=4), relaxit.estimator("pathwise")
        >>> Jigsaw().statement(Setup(permutation, pathwise, latents=1))
        'squared error of images reassembled by soft permutations of their pieces'
    """

    api = 2
    name = "jigsaw"
    summary = "reassemble shuffled pieces of images"
    Options = JigsawOptions
    references = ("arXiv:1802.08665, section 5.2",)
    defaults = {
        "relaxation": {"name": "permutation", "options": {"n": 4}},
        "epochs": 60,
        "batch_size": 50,
        "optimizer": {"schedule": "cosine", "warmup": 0.05},
    }
    files = ("jigsaw.png", "curves.png")
    display = Display(
        bar="squared error {train_loss:.4f}",
        line="squared error {train_loss:.4f}, of test pieces {test_in_place:.2%} in place, "
        "{test_solved:.2%} of images solved",
        title="hard permutations without noise",
        columns={"in_place": "in place", "solved": "solved", "squared_error": "squared error"},
        unit="hard permutations without noise; shares of pieces and of images",
    )

    def check(self, setup: Setup) -> None:
        super().check(setup)
        check_order(self, setup)
        n = setup.relaxation.event_shape[0]
        if math.isqrt(n) ** 2 != n:
            raise ConfigurationError(
                f"task {self.name!r} cuts images into a square grid of pieces, and {n} is not a "
                f"square number; set -o n={max(2, round(math.sqrt(n))) ** 2}"
            )
        hidden = self.options.hidden
        if self.options.context and (not hidden or hidden[-1] % HEADS):
            raise ConfigurationError(
                f"task {self.name!r}: attention has {HEADS} heads, so the last of hidden "
                f"must be a multiple of {HEADS}, got {list(hidden)}; or set -t context=0"
            )

    def requires(self, setup: Setup) -> Mapping[str, Requirement]:
        return {"inputs": Requirement("float", shape=(None, None))}

    def statement(self, setup: Setup) -> str:
        kind = "hard" if setup.estimator.hard else "soft"
        return f"squared error of images reassembled by {kind} permutations of their pieces"

    def build(self, setup: Setup, format: Format) -> Solver:
        side = math.isqrt(setup.relaxation.event_shape[0])
        height, width = format.inputs.shape
        if height % side or width % side:
            shared = math.gcd(height, width)
            fits = [f"n={k * k}" for k in range(2, shared + 1) if shared % k == 0][:3]
            advice = f"set -o {' or '.join(fits)}" if fits else "choose another --dataset"
            raise ConfigurationError(
                f"task {self.name!r}: images of {height}x{width} pixels cannot be cut into "
                f"{side}x{side} equal pieces; {advice}"
            )
        return Solver(
            Grid((height, width), side),
            Scorer(
                format.inputs.entries // side**2,
                self.options.hidden,
                setup.relaxation.param_shape,
                self.options.context,
            ),
        )

    def terms(self, setup: Setup, model: nn.Module, batch: Examples, step: Step) -> Terms:
        solution = _solver(model).grid.cut(batch.inputs)
        puzzle = shuffled(solution, step.generator)

        def cost(p: Tensor) -> Tensor:  # [S, B, n, n] -> [S, B]
            return _squared_error(p @ puzzle.pieces, solution)

        q = distributions(setup, model(puzzle.pieces), step.temperature, self.options.samples)
        return Terms(setup.surrogate(model, q, cost, step.generator).mean(0))

    def evaluate(
        self, setup: Setup, model: nn.Module, part: Examples, seed: int
    ) -> dict[str, float]:
        generator = torch.Generator(part.device).manual_seed(seed)
        totals = torch.zeros(3, dtype=torch.float64)
        for batch in part.batches(ROWS, generator):
            solution = _solver(model).grid.cut(batch.inputs)
            puzzle = shuffled(solution, generator)
            order = best_order(setup, model(puzzle.pieces))
            right = puzzle.in_place(order)
            error = _squared_error(arranged(puzzle.pieces, order), solution)
            sums = [right.float().mean(-1), right.all(-1).float(), error]
            totals += torch.stack([values.sum() for values in sums]).cpu()
        in_place, solved, error = (totals / len(part)).tolist()
        return {"in_place": in_place, "solved": solved, "squared_error": error}

    def draw(
        self, setup: Setup, model: nn.Module, data: Splits, rows: Sequence[Row], directory: Path
    ) -> None:
        super().draw(setup, model, data, rows, directory)
        test, grid = data.test, _solver(model).grid
        index = torch.linspace(0, len(test) - 1, min(_SHOWN, len(test)), device=test.device).long()
        generator = torch.Generator(test.device).manual_seed(setup.seed)
        x = test.take(index).read(generator).inputs
        puzzle = shuffled(grid.cut(x), generator)
        draw_puzzles(
            grid, puzzle, best_order(setup, model(puzzle.pieces)), directory / "jigsaw.png"
        )


def _solver(model: nn.Module) -> Solver:
    assert isinstance(model, Solver)  # made in build()
    return model


def _squared_error(pieces: Tensor, solution: Tensor) -> Tensor:  # [..., n, F] -> [...]
    return (pieces - solution).square().mean((-1, -2))
