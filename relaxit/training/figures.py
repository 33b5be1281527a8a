"""The pictures of a run: reconstructions, samples from the prior, and curves."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relaxit.data.batches import read
from relaxit.files import write_whole
from relaxit.models.vae import Vae
from relaxit.relaxation import Relaxation
from relaxit.training.experiment import Experiment

__all__ = ["draw_all", "draw_curves", "draw_reconstructions", "draw_samples", "prior_samples"]

_WIDTH = 720  # pixels; small pictures are enlarged by a whole factor, without blur


@torch.no_grad()
def prior_samples(
    model: Vae, relaxation: Relaxation, latents: int, count: int, seed: int = 0
) -> Tensor:
    """Pixel probabilities ``[count, P]`` decoded from uniform hard latents."""
    device = model.mean_image.device
    generator = torch.Generator(device).manual_seed(seed)
    params = torch.zeros(count, latents, *relaxation.param_shape, device=device)
    hard = relaxation(params, validate_args=False).sample_hard((), generator)
    return model.decode(hard).sigmoid()


def draw_all(experiment: Experiment, folder: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write the three pictures of a run; no curves where no epoch has ended."""
    draw_reconstructions(experiment, folder / "reconstructions.png")
    images = prior_samples(
        experiment.model,
        experiment.relaxation,
        experiment.config.latents,
        64,
        experiment.config.seed,
    )
    draw_samples(images, experiment.images.size, folder / "samples.png")
    if rows:
        draw_curves(rows, folder / "curves.png")


@torch.no_grad()
def draw_reconstructions(experiment: Experiment, path: Path, columns: int = 12) -> None:
    """Pairs of rows: test pictures, and below each its reconstruction from a hard sample."""
    images = experiment.images
    columns = min(columns, len(images.test))
    count = columns * min(3, len(images.test) // columns)  # whole rows, so that pairs stay aligned
    index = torch.linspace(0, len(images.test) - 1, count, device=images.test.device).long()
    generator = torch.Generator(images.test.device).manual_seed(experiment.config.seed)
    x = read(images.test[index], images.levels, experiment.config.data.binarise, generator)
    q = experiment.relaxation(experiment.model.encode(x), validate_args=False)
    again = experiment.model.decode(q.sample_hard((), generator)).sigmoid()
    rows = [t for pair in zip(x.split(columns), again.split(columns), strict=True) for t in pair]
    _save_grid(torch.cat(rows), images.size, columns, path)


def draw_samples(images: Tensor, size: tuple[int, int], path: Path, columns: int = 8) -> None:
    """A grid of pictures ``[N, P]`` with values in [0, 1]."""
    _save_grid(images, size, columns, path)


def _save_grid(images: Tensor, size: tuple[int, int], columns: int, path: Path) -> None:
    height, width = size
    rows = -(-len(images) // columns)
    cells = np.ones((rows * columns, height + 1, width + 1), dtype=np.float32)
    cells[: len(images), :height, :width] = 1 - images.cpu().numpy().reshape(-1, height, width)
    blocks = cells.reshape(rows, columns, height + 1, width + 1).swapaxes(1, 2)
    sheet = blocks.reshape(rows * (height + 1), columns * (width + 1))
    factor = max(1, _WIDTH // sheet.shape[1])
    sheet = sheet.repeat(factor, 0).repeat(factor, 1)

    from matplotlib.image import imsave

    picture = io.BytesIO()
    imsave(picture, sheet, cmap="gray", vmin=0, vmax=1, format="png")
    write_whole(path, picture.getvalue())


def draw_curves(rows: Sequence[Mapping[str, float]], path: Path) -> None:
    """Training objective against discrete bound, KL, and temperature, by epoch."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.6), layout="constrained")
    FigureCanvasAgg(figure)  # no global state, no display
    left, middle, right = figure.subplots(1, 3)
    _plot(left, rows, "train_surrogate", "training objective", style="--")
    _plot(left, rows, "train_elbo_discrete", "discrete, train", sign=-1)
    _plot(left, rows, "validation_elbo_discrete", "discrete, validation", sign=-1)
    _plot(left, rows, "test_elbo_discrete", "discrete, test", sign=-1)
    left.set_ylabel("negative ELBO, nats a picture")
    _focus(left, rows)
    _plot(middle, rows, "train_kl", "train")
    _plot(middle, rows, "test_kl", "test")
    middle.set_ylabel("KL of the discrete laws, nats")
    _plot(right, rows, "temperature", "temperature")
    _plot(right, rows, "kl_weight", "KL weight", style=":")
    right.set_ylim(bottom=0)
    for axes in (left, middle, right):
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    picture = io.BytesIO()
    figure.savefig(picture, dpi=110, format="png")
    write_whole(path, picture.getvalue())


def _plot(
    axes: Any,
    rows: Sequence[Mapping[str, float]],
    key: str,
    label: str,
    sign: float = 1,
    style: str = "-",
) -> None:
    points = [(row["epoch"], sign * row[key]) for row in rows if key in row]
    if points:
        marker = "o" if len(points) < 15 else None
        axes.plot(*zip(*points, strict=True), style, label=label, marker=marker, markersize=3)


def _focus(axes: Any, rows: Sequence[Mapping[str, float]]) -> None:
    """Let the first tenth of a long run leave the picture, where the curves are steep."""
    late = rows[len(rows) // 10 :]
    values = [abs(row[key]) for row in late for key in ("train_surrogate", "test_elbo_discrete")]
    margin = 0.05 * (max(values) - min(values)) + 1
    axes.set_ylim(min(values) - margin, max(values) + margin)
