"""Which pixels does a classifier need? Learned k-subsets against scikit-learn's SelectKBest.

For each k the recipe `feature-selection` learns k pixels from the training set. The same network
is then trained from scratch on the pixels of each method, so that only the choice differs, and its
accuracy on the test set is reported: mean over seeds and standard error.

    python feature_selection.py --data-dir data --plot features.png
    python feature_selection.py --dataset digits --ks 5 10
"""

from __future__ import annotations

import argparse
import math
import sys
import warnings
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.feature_selection import SelectKBest, f_classif, mutual_info_classif
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import CosineAnnealingLR

from relaxit import zoo
from relaxit.data import Splits
from relaxit.environment import flushed_denormals
from relaxit.training import build, load_data, resolve, train
from relaxit_subset.tasks.feature_selection import (
    COLOUR,
    mean_image,
    overlay,
    perceptron,
    selection,
)

KS = {"mnist": (5, 10, 20, 50, 100), "digits": (2, 5, 10, 20)}
HIDDEN, BATCH, LR = (256, 128), {"mnist": 256, "digits": 50}, 2e-3  # of the networks compared
EPOCHS = {"mnist": 5, "digits": 30}
MUTUAL_ROWS = 5000  # training images for the mutual information, which is slow


class Result(NamedTuple):
    chosen: Tensor  # [P], zeros and ones
    accuracy: float


def configuration(args: argparse.Namespace, k: int, seed: int) -> Any:
    """Return the configuration of the recipe with another k and all training images."""
    flags: dict[str, Any] = {
        "seed": seed,
        "device": "cpu",
        "data": {"name": args.dataset, "dir": args.data_dir},
        "relaxation": {"options": {"k": k}},
    }
    if args.epochs:
        flags["epochs"] = args.epochs
    return resolve([*zoo.recipe_layers("feature-selection"), flags])


def learned(args: argparse.Namespace, k: int, seed: int) -> Tensor:  # [P]
    experiment = build(configuration(args, k, seed))
    if train(experiment).exit_code:
        sys.exit("stopped")
    return selection(experiment.setup, experiment.model).cpu()


def ranked(data: Splits, seed: int) -> dict[str, SelectKBest]:
    """Fit scikit-learn's selectors to the training images."""
    train = data.train.read()
    x, y = train.inputs.flatten(1).numpy(), train.targets.numpy()

    def mutual(x: Any, y: Any) -> Any:
        return mutual_info_classif(x[:MUTUAL_ROWS], y[:MUTUAL_ROWS], random_state=seed)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constant pixels have no F value
        return {
            "SelectKBest, F test": SelectKBest(f_classif).fit(x, y),
            "SelectKBest, mutual information": SelectKBest(mutual).fit(x, y),
        }


def drawn(pixels: int, k: int, seed: int) -> Tensor:  # [P]
    order = torch.randperm(pixels, generator=torch.Generator().manual_seed(seed))
    return torch.zeros(pixels).index_fill(0, order[:k], 1.0)


def choices(
    args: argparse.Namespace, rankings: dict[str, SelectKBest], pixels: int, k: int, seed: int
) -> dict[str, Tensor]:
    """Return the pixels that each method chooses, from training images only."""
    best = {
        name: torch.from_numpy(ranking.set_params(k=k).get_support()).float()
        for name, ranking in rankings.items()
    }
    return {"learned": learned(args, k, seed), **best, "random": drawn(pixels, k, seed)}


def accuracy(data: Splits, chosen: Tensor, seed: int, dataset: str, epochs: int) -> float:
    """Train a network from scratch on the chosen pixels and return its test accuracy."""
    index = chosen.nonzero().flatten()
    x, test = (part.read().inputs.flatten(1)[:, index] for part in (data.train, data.test))
    y = data.train.targets.long()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = perceptron([len(index), *HIDDEN, int(y.max()) + 1])
        optimizer = torch.optim.Adam(network.parameters(), lr=LR, fused=True)
        decay = CosineAnnealingLR(optimizer, epochs * math.ceil(len(x) / BATCH[dataset]))
        for _ in range(epochs):
            for rows in torch.randperm(len(x)).split(BATCH[dataset]):
                optimizer.zero_grad()
                cross_entropy(network(x[rows]), y[rows]).backward()
                optimizer.step()
                decay.step()
    with torch.no_grad():
        right = network(test).argmax(-1) == data.test.targets
    return float(right.float().mean())


Results = dict[str, dict[int, list[Result]]]


def compare(args: argparse.Namespace, data: Splits) -> Results:
    """Return the results of each method for each k, one per seed."""
    rankings, results = ranked(data, 0), {}
    pixels = data.format.inputs.entries
    for k in args.ks:
        for seed in range(args.seeds):
            for name, z in choices(args, rankings, pixels, k, seed).items():
                result = Result(z, accuracy(data, z, seed, args.dataset, args.fit_epochs))
                results.setdefault(name, {}).setdefault(k, []).append(result)
    return results


def summary(results: list[Result]) -> tuple[float, float]:
    """Return the mean accuracy in per cent and its standard error (NaN for one seed)."""
    values = 100 * np.array([r.accuracy for r in results])
    error = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return values.mean(), error


def print_table(found: Results) -> None:
    width = max(map(len, found))
    ks = list(next(iter(found.values())))
    print("test accuracy, %".ljust(width) + "".join(f"{f'k = {k}':>15}" for k in ks))
    for name, by_k in found.items():
        cells = (summary(results) for results in by_k.values())
        print(name.ljust(width) + "".join(f"{mean:8.2f} ± {error:4.2f}" for mean, error in cells))


def plot(found: Results, data: Splits, path: str) -> None:
    """Plot the pixels of the first seed for each method and k, and accuracy against k."""
    from matplotlib.figure import Figure

    mean, ks = mean_image(data.train), list(next(iter(found.values())))
    height, width = data.format.inputs.shape
    figure = Figure(figsize=(1.15 * len(ks) + 5.2, 1.3 * len(found)), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.15 * len(ks) + 0.6, 4.6))
    grid, axes = left.subplots(len(found), len(ks), squeeze=False), right.subplots()
    axes.set_prop_cycle(color=[COLOUR, "tab:blue", "tab:green", "tab:gray"])
    for cell, k in zip(grid[0], ks, strict=True):
        cell.set_title(f"k = {k}", fontsize=10)
    for row, (name, by_k) in zip(grid, found.items(), strict=True):
        for cell, results in zip(row, by_k.values(), strict=True):
            cell.imshow(overlay(results[0].chosen, mean, (height, width)))
            cell.set(xticks=[], yticks=[])
        row[0].set_ylabel(name.replace(", ", "\n").replace(" inf", "\ninf"), fontsize=8)
        means, errors = zip(*map(summary, by_k.values()), strict=True)
        axes.errorbar(ks, means, errors, marker="o", markersize=4, capsize=2, label=name)
    axes.set(xscale="log", xlabel="pixels k", ylabel="test accuracy, %")
    axes.set_xticks(ks, map(str, ks))
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    figure.savefig(path, dpi=90)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare learned pixels with SelectKBest.")
    parser.add_argument("--dataset", choices=KS, default="mnist", help="Data set.")
    parser.add_argument("--data-dir", default="data", help="Directory of the MNIST files.")
    parser.add_argument("--ks", type=int, nargs="+", metavar="K", help="Numbers of pixels.")
    parser.add_argument("--seeds", type=int, default=3, help="Number of seeds.")
    parser.add_argument(
        "--epochs", type=int, help="Epochs of the selection; those of the recipe by default."
    )
    parser.add_argument("--fit-epochs", type=int, help="Epochs of the networks that are compared.")
    parser.add_argument(
        "--plot", metavar="FILE", help="Figure of the chosen pixels to write to this file."
    )
    args = parser.parse_args()
    args.ks = args.ks or KS[args.dataset]
    args.fit_epochs = args.fit_epochs or EPOCHS[args.dataset]
    with flushed_denormals():
        results = compare(args, data := load_data(configuration(args, args.ks[0], 0)))
    print_table(results)
    if args.plot:
        plot(results, data, args.plot)


if __name__ == "__main__":
    main()
