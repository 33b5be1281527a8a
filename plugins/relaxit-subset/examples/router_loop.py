"""The task `router` as a plain loop: relaxit's subset and estimator, all else by hand in PyTorch.

It prints the test loss with the best experts for each seed, which
`relaxit train --recipe router --ensemble seeds=5` computes too.

    python router_loop.py --seeds 5
"""

from __future__ import annotations

import argparse
import math
import statistics
from pathlib import Path

import torch
from torch import Tensor

import relaxit
from relaxit_subset.tasks.router import MixtureOfExperts, MixtureOfFunctions, softmax_weights

BATCH, LR, BALANCE, START, END = 200, 5e-3, 0.1, 1.0, 0.1


def loss_of(model: MixtureOfExperts, x: Tensor, y: Tensor, scores: Tensor, z: Tensor) -> Tensor:
    mixed = (softmax_weights(scores, z).unsqueeze(-1) * model.outputs(x)).sum(-2)
    return (mixed - y).square().mean(-1)


def train(model: MixtureOfExperts, x: Tensor, y: Tensor, epochs: int) -> None:
    subset, estimator = relaxit.get("subset", n=8, k=2), relaxit.estimator("pathwise")
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    steps = epochs * math.ceil(len(x) / BATCH)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    step = 0
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(BATCH):
            bx, by = x[rows], y[rows]
            scores = model.scores(bx)
            q = subset(scores, START * (END / START) ** (step / steps))
            costs = estimator.surrogate(
                q, lambda z, bx=bx, by=by, scores=scores: loss_of(model, bx, by, scores, z)
            )
            share = q.discrete.mean.mean(0) / 2
            loss = costs.mean() + BALANCE * (8 * share.square().sum() - 1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            decay.step()
            step += 1


@torch.no_grad()
def test_loss(model: MixtureOfExperts, x: Tensor, y: Tensor) -> float:
    scores = model.scores(x)
    z = torch.zeros_like(scores).scatter(-1, scores.topk(2).indices, 1.0)
    return float(loss_of(model, x, y, scores, z).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a mixture of experts in a plain loop.")
    parser.add_argument("--seeds", type=int, default=5, help="Number of seeds.")
    parser.add_argument("--epochs", type=int, default=20, help="Number of epochs.")
    args = parser.parse_args()
    data = MixtureOfFunctions().load(Path())
    losses = []
    for seed in range(args.seeds):
        torch.manual_seed(seed)
        model = MixtureOfExperts(8, experts=8, outputs=4)
        train(model, data.train.inputs, data.train.targets, args.epochs)
        losses.append(test_loss(model, data.test.inputs, data.test.targets))
        print(f"seed {seed}: test loss {losses[-1]:.4f}", flush=True)
    if len(losses) > 1:
        error = statistics.stdev(losses) / len(losses) ** 0.5
        print(f"mean {statistics.mean(losses):.4f} ± {error:.4f}")


if __name__ == "__main__":
    main()
