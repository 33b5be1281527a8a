"""Which particles are joined by springs? Learned latent graphs against least squares.

The recipe `interactions-tree` learns, without labels, to predict trajectories of five particles
through a latent graph: a spanning tree, a graph with four edges, or independent edges. The true
graphs are trees. The baselines see one simulation at a time and fit accelerations, which are
differences of velocities, by least squares to

- the displacements between particles, with one coefficient for each pair, and
- the displacements and their directions, which is the true force of a spring up to its softening.

The coefficient of a pair's displacement is its score. Scores become graphs by the same structures:
the maximum spanning tree, the four best pairs, or a threshold. The threshold of a baseline is the
best one for the true graphs of the training part, which the latent graphs never see.

    python interactions.py --seeds 3
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import relaxit
from relaxit import zoo
from relaxit.data import Examples
from relaxit.environment import flushed_denormals
from relaxit.training import build, resolve, train
from relaxit_graph.tasks.interactions import Springs

NODES, EDGES = 5, 4
LATENTS: dict[str, dict[str, int]] = {
    "spanning-tree": {"nodes": NODES},
    "k-edges": {"nodes": NODES, "edges": EDGES},
    "edges": {"nodes": NODES},
}


def least_squares(inputs: Tensor, directions: bool) -> Tensor:
    """Return the coefficient of each pair's displacement, ``[S, N, N]``.

    Args:
        inputs: trajectories ``[S, T, N, 4]``.
        directions: whether directions are fitted as well.
    """
    x, v = inputs.double().split(2, -1)
    count, frames, nodes, _ = x[:, 1:-1].shape
    change = ((v[:, 2:] - v[:, :-2]) / 2).flatten(1)  # acceleration times the interval
    first, second = torch.triu_indices(nodes, nodes, 1)
    pairs = torch.arange(len(first))
    apart = x[:, 1:-1, second] - x[:, 1:-1, first]  # [S, T, P, 2]
    columns = []
    for force in (apart, apart / (apart.norm(dim=-1, keepdim=True) + 1e-3))[: 1 + directions]:
        design = torch.zeros(count, frames, nodes, 2, len(first), dtype=torch.float64)
        design[:, :, first, :, pairs] = force.permute(2, 0, 1, 3)
        design[:, :, second, :, pairs] = -force.permute(2, 0, 1, 3)
        columns.append(design.flatten(1, 3))
    columns.append(x[:, 1:-1].flatten(1).unsqueeze(-1))  # the well
    design = torch.cat(columns, -1)
    normal = design.mT @ design + 1e-6 * torch.eye(design.shape[-1], dtype=torch.float64)
    fitted = torch.linalg.solve(normal, design.mT @ change.unsqueeze(-1)).squeeze(-1)
    scores = torch.zeros(count, nodes, nodes, dtype=torch.float64)
    scores[:, first, second] = fitted[:, : len(first)]
    return scores + scores.mT


def shares(inferred: Tensor, true: Tensor) -> dict[str, float]:
    """Return precision, recall and F1 of the edges of graphs ``[S, N, N]``."""
    right, found, there = (float(e.sum()) for e in (inferred * true, inferred, true))
    precision, recall = right / max(found, 1), right / there
    return {"precision": precision, "recall": recall, "f1": 2 * right / (found + there)}


def threshold(scores: Tensor, true: Tensor) -> float:
    """Return the threshold with the best F1."""
    candidates = scores.flatten().quantile(torch.linspace(0.3, 0.95, 131, dtype=torch.float64))
    found = [(shares((scores > c).double(), true)["f1"], float(c)) for c in candidates]
    return max(found)[1]


def baseline(latent: str, train: Examples, test: Examples, directions: bool) -> dict[str, float]:
    """Return precision, recall and F1 of least squares on the test part."""
    scores = least_squares(test.inputs, directions)
    if latent == "edges":
        known = least_squares(train.inputs[:500], directions)
        scores = scores - threshold(known, train["adjacency"][:500].double())
    inferred = relaxit.get(latent, **LATENTS[latent]).argmax(scores)
    return shares(inferred, test["adjacency"].double())


def learned(
    latent: str, seed: int, epochs: int, data: Mapping[str, Any]
) -> tuple[Mapping[str, float], float]:
    """Train with a latent structure; return the last metrics and the CPU time of an epoch."""
    settings = {
        "seed": seed,
        "epochs": epochs,
        "device": "cpu",
        "relaxation": {"name": latent, "options": LATENTS[latent]},
        "data": {"options": data},
    }
    experiment = build(resolve([*zoo.recipe_layers("interactions-tree"), settings]))
    began = time.process_time()
    with flushed_denormals():
        last = train(experiment, evaluated={epochs}).rows[-1]
    row = {name: float(last[f"test_{name}"]) for name in ("precision", "recall", "f1")}
    return row, (time.process_time() - began) / epochs


def show(method: str, latent: str, seed: str, row: Mapping[str, float], seconds: str = "") -> None:
    cells = "".join(f"{row[name]:11.2%}" for name in ("precision", "recall", "f1"))
    print(f"{method:30}{latent:15}{seed:>5}{cells}{seconds:>9}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare latent graphs of trajectories.")
    parser.add_argument("--seeds", type=int, default=3, help="Number of seeds.")
    parser.add_argument("--epochs", type=int, default=30, help="Number of epochs.")
    parser.add_argument("--noise", type=float, default=0.0, help="Noise of the observations.")
    parser.add_argument("--simulations", type=int, default=2000, help="Training simulations.")
    parser.add_argument("--latents", nargs="+", default=[*LATENTS], choices=LATENTS, metavar="NAME")
    args = parser.parse_args()
    torch.set_num_threads(1)
    options = {"noise": args.noise, "train": args.simulations}
    data = Springs(nodes=NODES, graph="tree", **options).load(Path())
    print(
        f"{'method':30}{'graph':15}{'seed':>5}{'precision':>11}{'recall':>11}{'F1':>11}{'s/epoch':>9}"
    )
    for latent in args.latents:
        for directions in (False, True):
            name = "least squares" + (", force known" if directions else "")
            show(name, latent, "-", baseline(latent, data.train, data.test, directions))
        for seed in range(args.seeds):
            row, seconds = learned(latent, seed, args.epochs, options)
            show("latent graph", latent, str(seed), row, f"{seconds:.2f}")


if __name__ == "__main__":
    main()
