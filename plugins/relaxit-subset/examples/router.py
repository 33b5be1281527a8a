"""Routers of a mixture of experts compared: relaxed subsets, all experts, and a top-2 by hand.

The experts, the data, the number of steps and the learning rate are the same. Evaluation takes the
two experts with the highest scores, or all eight in the dense mixture. The time of a step is that
of one core (CPU time), the median of short blocks that take turns between the methods.

    python router.py --seeds 5
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import gumbel_softmax

import relaxit
from relaxit.data import Splits
from relaxit_subset.tasks.router import (
    MixtureOfExperts,
    MixtureOfFunctions,
    agreement,
    imbalance,
    softmax_weights,
)

EXPERTS, BATCH, LR, BALANCE, START, END = 8, 200, 5e-3, 0.1, 1.0, 0.1
Loss = Callable[[MixtureOfExperts, Tensor, Tensor, float], Tensor]


def squared_error(
    model: MixtureOfExperts, x: Tensor, y: Tensor, scores: Tensor, z: Tensor
) -> Tensor:
    weights = softmax_weights(scores, z)
    mixed = torch.einsum("...be,beo->...bo", weights, model.outputs(x))
    return (mixed - y).square().mean(-1)


def ours(
    estimator: str, k: int, model: MixtureOfExperts, x: Tensor, y: Tensor, temperature: float
) -> Tensor:
    """Loss of a sample of the subset, with balance of its exact marginals."""
    scores = model.scores(x)
    q = relaxit.get("subset", n=EXPERTS, k=k)(scores, temperature)
    costs = relaxit.estimator(estimator).surrogate(
        q, lambda z: squared_error(model, x, y, scores, z)
    )
    return costs.mean() + BALANCE * imbalance(q.discrete.mean)


def dense(model: MixtureOfExperts, x: Tensor, y: Tensor, temperature: float) -> Tensor:
    """Softmax over all experts, nothing chosen."""
    del temperature
    scores = model.scores(x)
    balance = imbalance(scores.softmax(-1))
    return squared_error(model, x, y, scores, torch.ones(EXPERTS)).mean() + BALANCE * balance


def by_hand(model: MixtureOfExperts, x: Tensor, y: Tensor, temperature: float) -> Tensor:
    """The two best of a Gumbel-softmax, straight-through, with the balance of Switch Transformers.

    The soft value has a sum of 1, and the hard one of 2, as in many repositories.
    """
    scores = model.scores(x)
    soft = gumbel_softmax(scores, temperature)
    hard = torch.zeros_like(soft).scatter(-1, soft.topk(2).indices, 1.0)
    z = hard + soft - soft.detach()
    share, probability = hard.mean(0) / 2, scores.softmax(-1).mean(0)
    balance = EXPERTS * (share * probability).sum() - 1
    return squared_error(model, x, y, scores, z).mean() + BALANCE * balance


METHODS: dict[str, tuple[Loss, int]] = {
    **{
        f"subset, {name}": (partial(ours, name, 2), 2)
        for name in ("pathwise", "simple", "st-gumbel", "straight-through")
    },
    "Gumbel top-2 by hand": (by_hand, 2),
    "dense softmax": (dense, EXPERTS),
}


class Run:
    """A model and its optimizer, which advance batch by batch."""

    def __init__(self, loss: Loss, data: Splits, seed: int, steps: int) -> None:
        torch.manual_seed(seed)
        self.loss, self.data, self.steps, self.step = loss, data, steps, 0
        self.model = MixtureOfExperts(data.format.inputs.entries, EXPERTS, 4)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=LR)
        self.decay = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, steps)
        self.rows: list[Tensor] = []

    def advance(self) -> None:
        train = self.data.train
        if not self.rows:
            self.rows = [*torch.randperm(len(train)).split(BATCH)]
        batch = train.take(self.rows.pop(0))
        temperature = START * (END / START) ** (self.step / self.steps)
        self.optimizer.zero_grad()
        self.loss(self.model, batch.inputs, batch.targets, temperature).backward()
        self.optimizer.step()
        self.decay.step()
        self.step += 1

    @torch.no_grad()
    def evaluate(self, k: int) -> tuple[float, float, float]:
        """Return test loss, largest load, and agreement of the choices with the true regions."""
        test = self.data.test
        scores = self.model.scores(test.inputs)
        z = torch.zeros_like(scores).scatter(-1, scores.topk(k).indices, 1.0)
        loss = squared_error(self.model, test.inputs, test.targets, scores, z).mean()
        load = z if k < EXPERTS else scores.softmax(-1)
        choices = z.unique(dim=0, return_inverse=True)[1]
        shared = agreement(choices, test["regions"]) if k < EXPERTS else math.nan
        return float(loss), float(load.mean(0).max() / load.mean(0).sum()), shared


def milliseconds(names: list[str], data: Splits, blocks: int) -> dict[str, float]:
    """Return the CPU time of a step of each method, the median of blocks of ten steps."""
    times: dict[str, list[float]] = {name: [] for name in names}
    runs = {name: Run(METHODS[name][0], data, 0, 10 * (blocks + 1)) for name in names}
    for block in range(blocks + 1):
        for name, run in runs.items():
            began = time.process_time()
            for _ in range(10):
                run.advance()
            if block:  # the first is a warm-up
                times[name].append(100 * (time.process_time() - began))
    return {name: statistics.median(found) for name, found in times.items()}


def cell(values: list[float]) -> str:
    """Format the mean and, for several seeds, its standard error; a dash if there is none."""
    if math.isnan(values[0]):
        return "-"
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else math.nan
    return f"{statistics.mean(values):.4f} ± {error:.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare routers of a mixture of experts.")
    parser.add_argument("--seeds", type=int, default=5, help="Number of seeds.")
    parser.add_argument("--epochs", type=int, default=20, help="Number of epochs.")
    parser.add_argument("--blocks", type=int, default=20, help="Blocks of steps that are timed.")
    parser.add_argument("--methods", nargs="+", default=[*METHODS], choices=METHODS, metavar="NAME")
    args = parser.parse_args()
    torch.set_num_threads(1)
    data = MixtureOfFunctions().load(Path())
    times = milliseconds(args.methods, data, args.blocks)
    steps = args.epochs * math.ceil(len(data.train) / BATCH)
    print(f"{'method':22}{'test loss':>18}{'largest load':>18}{'agreement':>18}{'ms/step':>9}")
    for name in args.methods:
        (loss, k), found = METHODS[name], []
        for seed in range(args.seeds):
            run = Run(loss, data, seed, steps)
            while run.step < steps:
                run.advance()
            found.append(run.evaluate(k))
        cells = "".join(f"{cell([*values]):>18}" for values in zip(*found, strict=True))
        print(f"{name:22}{cells}{times[name]:9.2f}", flush=True)


if __name__ == "__main__":
    main()
