"""Reassemble shuffled pieces of images in a plain training loop, and draw the result.

A network sees all pieces of a digit, but not their order, and scores them for the places. The loss
is the squared error between the image and its pieces as arranged by a soft permutation. The command
`relaxit train --recipe jigsaw --dataset digits` does the same.

    python jigsaw.py --plot jigsaw.png
    python jigsaw.py --dataset mnist --data-dir data --n 16 --steps 6000
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
from torch import Tensor
from torch.optim.lr_scheduler import OneCycleLR

from relaxit.data import Digits, Mnist
from relaxit_permutation import Permutation
from relaxit_permutation.tasks.jigsaw import Grid, Puzzle, draw_puzzles, shuffled
from relaxit_permutation.tasks.sorting_numbers import Scorer

BATCH, WIDTH, CONTEXT, LR = 100, 128, 2, 1e-3


def learn(permutation: Permutation, pieces: Tensor, steps: int) -> Scorer:
    """Train a network on pieces ``[N, n, F]``."""
    network = Scorer(pieces.shape[-1], (WIDTH,), permutation.param_shape, CONTEXT)
    optimizer = torch.optim.Adam(network.parameters(), lr=LR)
    # The warm-up of 5 % must be longer than one step.
    steps = max(steps, 40)
    rate = OneCycleLR(optimizer, LR, total_steps=steps, pct_start=0.05, cycle_momentum=False)
    for _ in range(steps):
        puzzle = shuffled(pieces[torch.randint(len(pieces), (BATCH,))])
        p = permutation(network(puzzle.pieces), temperature=1.0).rsample()  # [B, n, n]
        loss = (p @ puzzle.pieces - puzzle.solution).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
    return network.eval()


@torch.no_grad()
def solve(permutation: Permutation, network: Scorer, puzzle: Puzzle) -> Tensor:
    """Return the piece in each place, ``[B, n]``, in the best permutation without noise."""
    return permutation.argmax(network(puzzle.pieces)).argmax(-1)


def main() -> None:
    parser = argparse.ArgumentParser(description="Reassemble shuffled pieces of images.")
    parser.add_argument(
        "--dataset", choices=["digits", "mnist"], default="digits", help="Data set."
    )
    parser.add_argument("--data-dir", default="data", help="Directory of the MNIST files.")
    parser.add_argument(
        "--n", type=int, default=4, help="Number of pieces per image: 4 is 2x2, 16 is 4x4."
    )
    parser.add_argument("--steps", type=int, default=1500, help="Number of training steps.")
    parser.add_argument(
        "--seed", type=int, default=0, help="Seed of weights, data order and noise."
    )
    parser.add_argument(
        "--plot", metavar="FILE", help="Figure of some test puzzles to write to this file."
    )
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    images = (Digits() if args.dataset == "digits" else Mnist()).load(Path(args.data_dir))
    height, width = images.format.inputs.shape
    grid = Grid((height, width), math.isqrt(args.n))
    if grid.side**2 != args.n or height % grid.side or width % grid.side:
        parser.error(
            f"--n {args.n}: images of {height}x{width} pixels cannot be cut into a square grid of "
            f"{args.n} equal pieces; choose a square number that fits, such as 4"
        )
    permutation = Permutation(n=args.n)
    train, test = (grid.cut(part.read().inputs) for part in (images.train, images.test))
    network = learn(permutation, train, args.steps)
    puzzle = shuffled(test)
    order = solve(permutation, network, puzzle)
    right = puzzle.in_place(order)
    print(f"pieces in place  {float(right.float().mean()):.2%}")
    print(f"images solved    {float(right.all(-1).float().mean()):.2%}")
    if args.plot:
        shown = Puzzle(*(pieces[:20] for pieces in puzzle))
        draw_puzzles(grid, shown, order[:20], Path(args.plot))


if __name__ == "__main__":
    main()
