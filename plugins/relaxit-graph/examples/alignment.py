"""Align curves with time-warped copies of them, without an example of an alignment.

A curve in the plane is copied: some of its points are repeated, all are seen through an unknown
distortion, and noise is added. Two networks score each pair of a point and a frame of the copy, and
a third one predicts a frame from a point. They are trained to explain the copy,

    minimise   mean over frames j of | y_j - sum over i of A_ij h(x_i) |^2,

where the attention A_ij is that of each frame alone (softmax), the expected monotone path of the
scores, or a relaxed sample of it. Curves come back to where they were, so a frame alone does not
tell its point. The table shows how many points the found alignments are off, on other curves: that
of the best point of each frame, and the best path. The last line has the scores of the true model.

    python alignment.py --plot alignment.png

References: Kim et al., "Glow-TTS", arXiv:2005.11129 (monotone alignments found by a model); Mensch,
Blondel, arXiv:1802.03676 (expected paths).
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

import relaxit
from relaxit import SumProduct

POINTS, FRAMES, FEATURES, NOISE = 16, 24, 4, 0.3
BATCH, LR, WIDTH = 64, 5e-3, 32
METHODS = ("softmax attention", "expected path", "relaxed sample")


class Pairs(NamedTuple):
    curve: Tensor  # [B, N, 2]
    copy: Tensor  # [B, M, F]
    path: Tensor  # [B, M], the point of each frame


def draw_pairs(count: int) -> Pairs:
    """Draw curves of two waves per coordinate, and copies of them."""
    time = torch.linspace(0, 1, POINTS)
    rate, phase = 1 + 2 * torch.rand(2, count, 1, 2, 2), 2 * torch.pi * torch.rand(count, 1, 2, 2)
    curve = torch.sin(torch.pi * rate[0] * time[:, None, None] + phase).sum(-1)
    advances = torch.rand(count, FRAMES - 1).argsort(-1) < POINTS - 1
    path = torch.nn.functional.pad(advances.long().cumsum(-1), (1, 0))
    points = curve.gather(1, path.unsqueeze(-1).expand(-1, -1, 2))
    seen = distorted(points)
    return Pairs(curve, seen + NOISE * torch.randn_like(seen), path)


def distorted(points: Tensor) -> Tensor:  # [..., 2] -> [..., F]
    angles = torch.arange(FEATURES) * torch.pi / FEATURES
    return torch.tanh(points @ torch.stack([angles.cos(), angles.sin()]))


class Aligner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.point, self.frame, self.predicted = (
            nn.Sequential(nn.Linear(size, WIDTH), nn.Tanh(), nn.Linear(WIDTH, out))
            for size, out in ((2, WIDTH), (FEATURES, WIDTH), (2, FEATURES))
        )

    def forward(self, pairs: Pairs) -> Tensor:  # [B, N, M]
        return self.point(pairs.curve) @ self.frame(pairs.copy).mT


def attention(method: str, alignment: SumProduct, scores: Tensor) -> Tensor:
    if method == "softmax attention":
        return scores.softmax(-2)
    q = alignment(scores)
    return q.discrete.mean if method == "expected path" else q.rsample()


def learn(method: str, alignment: SumProduct, steps: int, seed: int) -> Aligner:
    torch.manual_seed(seed)
    model = Aligner()
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    for _ in range(steps):
        pairs = draw_pairs(BATCH)
        a = attention(method, alignment, model(pairs))
        loss = (pairs.copy - a.mT @ model.predicted(pairs.curve)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def off(alignment: SumProduct, scores: Tensor, true: Tensor) -> Tensor:  # [2]
    """Return the mean distance from the true points: of the best points, and of the best path."""
    found = torch.stack([scores.argmax(-2), alignment.argmax(scores).argmax(-2)])
    return (found - true).abs().float().mean((1, 2))


def draw_figure(alignment: SumProduct, alone: Tensor, scores: Tensor, true: Tensor, file: str):
    """Write a figure of one pair, from scores [N, M] of softmax attention and of relaxed paths."""
    q = alignment(scores)
    panels = {
        "softmax attention": alone.softmax(-2),
        "expected path": q.discrete.mean,
        "relaxed sample": q.rsample(),
        "best path": q.discrete.mode,
    }
    fig, axes = plt.subplots(2, 2, figsize=(7, 5.4), sharex=True, sharey=True, layout="constrained")
    for axis, (title, values) in zip(axes.flat, panels.items(), strict=True):
        axis.imshow(values, "Blues", vmin=0, vmax=1, aspect="auto")
        axis.plot(true, color="tab:red", linewidth=1, label="true path")
        axis.set(title=title, yticks=range(0, POINTS, 5))
    axes[0, 0].legend()
    fig.supxlabel("frame of the copy")
    fig.supylabel("point of the curve")
    fig.savefig(file, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description="Align curves with warped copies of them.")
    parser.add_argument("--steps", type=int, default=500, help="Number of training steps.")
    parser.add_argument("--seeds", type=int, default=1, help="Number of seeds.")
    parser.add_argument("--plot", metavar="FILE", help="Figure of one pair to write to this file.")
    args = parser.parse_args()
    alignment = relaxit.get("alignment", rows=POINTS, columns=FRAMES, moves="attention")
    torch.manual_seed(1000)
    test = draw_pairs(1000)
    rows = {"untrained": off(alignment, Aligner()(test).detach(), test.path)}
    found = {}
    for method in METHODS:
        models = [learn(method, alignment, args.steps, seed) for seed in range(args.seeds)]
        scores = [model(test).detach() for model in models]
        found[method] = scores[0]
        rows[method] = torch.stack([off(alignment, s, test.path) for s in scores]).mean(0)
    distances = torch.cdist(distorted(test.curve), test.copy).square() / (2 * NOISE**2)
    rows["true model"] = off(alignment, -distances, test.path)
    print(f"{'points off':20} {'best points':>12} {'best path':>12}")
    for name, (points, path) in rows.items():
        print(f"{name:20} {points:12.2f} {path:12.2f}")
    if args.plot:
        alone, scores = found["softmax attention"][0], found["relaxed sample"][0]
        draw_figure(alignment, alone, scores, test.path[0], args.plot)


if __name__ == "__main__":
    main()
