"""The figures of an autoencoder: reconstructions, samples from the prior, and curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from relaxit.data import Splits
from relaxit.relaxation import Relaxation
from relaxit.tasks.vae.model import Vae
from relaxit.training import Curve, Panel, Setup, draw_curves, draw_grid

__all__ = ["draw_elbo_curves", "draw_grid", "draw_reconstructions", "prior_samples"]


@torch.no_grad()
def prior_samples(
    model: Vae, relaxation: Relaxation, latents: int, count: int, seed: int = 0
) -> Tensor:
    """Return means of the values ``[count, P]``, decoded from hard latents of the prior.

    Those of a Bernoulli likelihood are pixel probabilities, those of a categorical one classes.
    """
    device = model.mean_image.device
    generator = torch.Generator(device).manual_seed(seed)
    empty = torch.zeros(count, latents, *relaxation.param_shape, device=device)
    q = relaxation(model.prior_like(empty), validate_args=False)
    return model.likelihood.mean(model.decode(q.sample_hard((), generator)))


@torch.no_grad()
def draw_reconstructions(
    setup: Setup, model: Vae, data: Splits, path: Path, columns: int = 12
) -> None:
    """Draw pairs of rows: test images, and below each its reconstruction from a hard sample."""
    test = data.test
    columns = min(columns, len(test))
    count = columns * min(3, len(test) // columns)  # whole rows, so that pairs stay aligned
    index = torch.linspace(0, len(test) - 1, count, device=test.device).long()
    generator = torch.Generator(test.device).manual_seed(setup.seed)
    x = test.take(index).read(generator).inputs
    hard = setup.distribution(model.encode(x)).sample_hard((), generator)
    again = model.likelihood.mean(model.decode(hard))
    size = (x.shape[1], x.shape[2])
    pairs = zip(x.flatten(1).split(columns), again.split(columns), strict=True)
    draw_grid(torch.cat([t for pair in pairs for t in pair]), size, columns, path)


def draw_elbo_curves(rows: Sequence[Mapping[str, float]], path: Path, noun: str = "image") -> None:
    """Draw the training objective and the discrete bound, the KL, and the temperature by epoch."""
    bounds = Panel(
        f"negative ELBO, nats per {noun}",
        [
            Curve("train_surrogate", "training objective", style="--"),
            Curve("train_elbo_discrete", "discrete, train", sign=-1),
            Curve("validation_elbo_discrete", "discrete, validation", sign=-1),
            Curve("test_elbo_discrete", "discrete, test", sign=-1),
        ],
        focus=("train_surrogate", "test_elbo_discrete"),
    )
    kl = Panel(
        "KL of the discrete distributions, nats",
        [Curve("train_kl", "train"), Curve("test_kl", "test")],
    )
    schedules = Panel(
        "",
        [Curve("temperature", "temperature"), Curve("kl_weight", "KL weight", style=":")],
        from_zero=True,
    )
    draw_curves([bounds, kl, schedules], rows, path)
