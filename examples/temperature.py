"""Show soft samples and their mean at several temperatures, beside the discrete distribution.

The figure is written to the path given as argument (temperature.png by default), and a table is
printed:

    python examples/temperature.py figure.png
"""

from __future__ import annotations

import argparse

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import relaxit

LOGITS = torch.tensor([0.0, 1.0, -1.0, 2.0, 0.5, -0.5, 1.5])
TEMPERATURES = [0.1, 0.5, 1.0, 10.0]
DRAWS = 50_000  # number of samples for means and frequencies
SINGLES = 3  # rows of single samples
SEED = 18


def draw_figure(path: str) -> None:
    categorical = relaxit.get("categorical", categories=len(LOGITS))
    figure = Figure(figsize=(11, 7), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(1 + SINGLES, 1 + len(TEMPERATURES), sharex=True, sharey=True)

    # The first column shows the discrete distribution: its exact marginals, and hard samples.
    discrete = categorical(LOGITS).discrete
    _, hard = categorical(LOGITS).draw((SINGLES,), torch.Generator().manual_seed(SEED))
    columns = [("discrete distribution", [discrete.mean, *hard], "tab:gray")]

    # The same seed gives the same noise at every temperature, so each row shows one sample at
    # increasing temperatures; the first column shows the vertex to which all of them round.
    for temperature in TEMPERATURES:
        q = categorical(LOGITS, temperature)
        mean = q.sample((DRAWS,)).mean(0)
        single = q.sample((SINGLES,), torch.Generator().manual_seed(SEED))
        columns.append((rf"$\tau = {temperature:g}$", [mean, *single], "tab:blue"))

    for column, (title, rows, colour) in enumerate(columns):
        for row, values in enumerate(rows):
            axes = grid[row, column]
            axes.bar(range(len(LOGITS)), values, color=colour)
            axes.set_ylim(0, 1.05)
            axes.set_xticks(range(len(LOGITS)))
        grid[0, column].set_title(title)
        grid[-1, column].set_xlabel("category")
    grid[0, 0].set_ylabel("mean")
    for row in range(1, 1 + SINGLES):
        grid[row, 0].set_ylabel(f"sample {row}")
    figure.savefig(path, dpi=100)


def print_table() -> None:
    categorical = relaxit.get("categorical", categories=len(LOGITS))
    print("temperature  soft to hard  frequency of each hard sample")
    for temperature in TEMPERATURES:
        soft, hard = categorical(LOGITS, temperature).draw((DRAWS,))
        distance = (soft - hard).abs().sum(-1).mean() / 2  # total variation, 0 to 1
        print(f"{temperature:11g}  {distance:12.3f}  {numbers(hard.mean(0))}")
    print(f"{'softmax':>11}  {'':12}  {numbers(LOGITS.softmax(-1))}")


def numbers(values: torch.Tensor) -> str:
    return " ".join(f"{value:.3f}" for value in values.tolist())


def main() -> None:
    parser = argparse.ArgumentParser(description="Show soft samples at several temperatures.")
    parser.add_argument("path", nargs="?", default="temperature.png", help="PNG file to write.")
    path = parser.parse_args().path
    torch.manual_seed(SEED)
    draw_figure(path)
    print_table()
    print(f"figure: {path}")


if __name__ == "__main__":
    main()
