"""The figures of an autoencoder: reconstructions, samples from the prior, and curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from relaxit.data import Images, Part
from relaxit.relaxation import Relaxation
from relaxit.tasks.vae.model import Vae
from relaxit.training import Curve, Panel, Setup, draw_curves, draw_grid

__all__ = ["draw_elbo_curves", "draw_grid", "draw_reconstructions", "prior_samples"]


@torch.no_grad()
def prior_samples(
    model: Vae, relaxation: Relaxation, latents: int, count: int, seed: int = 0
) -> Tensor:
    """Return pixel probabilities ``[count, P]`` decoded from uniform hard latents."""
    device = model.mean_image.device
    generator = torch.Generator(device).manual_seed(seed)
    params = torch.zeros(count, latents, *relaxation.param_shape, device=device)
    hard = relaxation(params, validate_args=False).sample_hard((), generator)
    return model.decode(hard).sigmoid()


@torch.no_grad()
def draw_reconstructions(
    setup: Setup, model: Vae, images: Images, path: Path, columns: int = 12
) -> None:
    """Draw pairs of rows: test images, and below each its reconstruction from a hard sample."""
    test = images.test
    columns = min(columns, len(test))
    count = columns * min(3, len(test) // columns)  # whole rows, so that pairs stay aligned
    index = torch.linspace(0, len(test) - 1, count, device=test.device).long()
    generator = torch.Generator(test.device).manual_seed(setup.seed)
    x = setup.read(Part(test[index], images.levels), generator)
    again = model.decode(setup.distribution(model.encode(x)).sample_hard((), generator)).sigmoid()
    rows = [t for pair in zip(x.split(columns), again.split(columns), strict=True) for t in pair]
    draw_grid(torch.cat(rows), images.size, columns, path)


def draw_elbo_curves(rows: Sequence[Mapping[str, float]], path: Path) -> None:
    """Draw the training objective and the discrete bound, the KL, and the temperature by epoch."""
    bounds = Panel(
        "negative ELBO, nats per image",
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
