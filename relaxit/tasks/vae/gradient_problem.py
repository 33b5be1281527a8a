"""The decoder's cost after some training, as a gradient problem."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from relaxit.data import Examples
from relaxit.environment import flushed_denormals
from relaxit.errors import ConfigurationError
from relaxit.gradients import GradientProblem, Point, ProblemCase, Surroundings
from relaxit.options import Options
from relaxit.tasks.vae.likelihood import pixel_loss
from relaxit.tasks.vae.model import Vae
from relaxit.training import Experiment, Trainer, build, build_task, merge, resolve

__all__ = ["DecoderCost", "DecoderCostOptions"]

_SETTINGS = Path(__file__).with_name("gradient_problem.toml")


class DecoderCostOptions(Options):
    """Options of :class:`DecoderCost`."""

    latents: int | None = Field(None, ge=1, description="number of variables; 4 if absent")
    steps: int = Field(2000, ge=0, description="training steps of 100 images")
    estimator: str | None = Field(
        None, description="estimator of the training; st-gumbel if absent"
    )
    temperature: float = Field(1.0, gt=0, description="temperature of the training")
    images: int = Field(8, ge=1, description="held-out images whose gradients are estimated")


class DecoderCost(GradientProblem):
    """Cross-entropy of a held-out image under the decoder of an autoencoder trained for a while.

    An autoencoder 784-512-256-latents (for MNIST; other images have another size), mirrored, is
    trained by Adam at 1e-3; the params are the logits that its encoder gives for some images, one
    point per image. All further computation is in float64.
    """

    api = 1
    name = "vae-cost"
    summary = (
        "the decoder's cost of an autoencoder with 4 variables of 8 categories, after training"
    )
    Options = DecoderCostOptions

    def cases(self, around: Surroundings) -> Iterator[ProblemCase]:
        config = resolve([self._settings(around)])
        _, setup = build_task(config)
        around.require_states(setup.relaxation, setup.latents)
        around.progress(f"{self.name}: {config.data.name}, {self.options.steps} steps of training")
        experiment = build(config)
        _train(experiment, self.options.steps)
        test = experiment.data.test
        if self.options.images > len(test):
            raise ConfigurationError(
                f"{self.options.images} images are requested, but {config.data.name} has "
                f"{len(test)} held out"
            )
        index = torch.linspace(0, len(test) - 1, self.options.images).long()
        chosen = test.take(index.to(test.device))
        label = f"{config.data.name} after {self.options.steps} steps of {setup.estimator.name}"
        yield ProblemCase(label, setup.relaxation, _points(experiment, chosen, around.dtype))

    def _settings(self, around: Surroundings) -> dict[str, Any]:
        """Return the settings of the training as a configuration table."""
        table = tomllib.loads(_SETTINGS.read_text(encoding="utf-8"))
        chosen: dict[str, Any] = {
            "seed": around.settings.seed,
            "device": str(around.device),
            "temperature": {"initial": self.options.temperature},
            "data": {
                "name": around.dataset or "digits",
                "dir": None if around.data_dir is None else str(around.data_dir),
            },
        }
        if self.options.latents:
            chosen["latents"] = self.options.latents
        if self.options.estimator:
            chosen["estimator"] = {"name": self.options.estimator}
        if relaxation := around.relaxation:
            options = relaxation.options.model_dump(mode="json")
            chosen["relaxation"] = {"name": relaxation.name, "options": options}
        return merge(table, chosen)


def _train(experiment: Experiment, steps: int) -> None:
    """Train for a number of steps, with the images shuffled again after each pass."""
    trainer, size = Trainer(experiment), experiment.config.batch_size
    generator = torch.Generator().manual_seed(experiment.config.seed)
    order = torch.empty(0, dtype=torch.long)
    experiment.model.train()
    with flushed_denormals():
        for _ in range(steps):
            if not len(order):
                order = torch.randperm(len(trainer.train), generator=generator)
            batch, order = order[:size], order[size:]
            trainer.train_step(batch.to(experiment.device))
    trainer.guard.check_weights(steps)
    experiment.model.eval()


def _points(experiment: Experiment, chosen: Examples, dtype: torch.dtype) -> tuple[Point, ...]:
    """Return one point per image, of a frozen model in the given precision."""
    model: nn.Module = experiment.model.to(dtype).requires_grad_(False)
    assert isinstance(model, Vae)  # made by the task
    generator = torch.Generator(experiment.device).manual_seed(experiment.config.seed)
    images = chosen.read(generator).inputs.flatten(1).to(dtype)
    params = model.encode(images)
    return tuple(Point(row, _Cost(model, image)) for row, image in zip(params, images, strict=True))


class _Cost:
    """Cross-entropy ``[...]`` of one image ``[P]``, for values ``[..., latents, *event]``."""

    def __init__(self, model: Vae, image: Tensor) -> None:
        self.model, self.image = model, image

    def __call__(self, z: Tensor) -> Tensor:
        return pixel_loss(self.model.decode(z), self.image)
