"""Steps of the tutorial's autoencoder: its script, our engines in each precision, lower bounds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import torch
from pydantic import Field
from torch import Tensor, optim
from torch.utils.data import DataLoader

from relaxit import zoo
from relaxit.bench import Benchmark, Implementation
from relaxit.environment import flushed_denormals
from relaxit.options import Options
from relaxit.tasks.vae.benchmarks import tutorial
from relaxit.tasks.vae.benchmarks.matmuls import training_matmuls
from relaxit.training import Precision, Trainer, build, resolve
from relaxit.training.engines import EngineName

__all__ = ["RECIPE", "TrainingSteps", "TrainingStepsOptions"]

RECIPE = "tutorial-mnist"
"""The recipe with the script's model and settings."""

_HIDDEN = (512, 256)
_NOTES = {
    "tutorial": "the script of an old tutorial",
    "products": "the matmuls of such a step: forward, backward and for the hard sample",
}


class TrainingStepsOptions(Options):
    """Options of :class:`TrainingSteps`."""

    steps: int = Field(default=100, ge=1, description="training steps per call, of 100 images each")
    images: str = Field(default="MNIST", description="what the files contain, for the record")
    data_dir: str = Field(
        description="directory of the MNIST files, or files like them", repr=False
    )


class TrainingSteps(Benchmark):
    """A block of training steps with both objectives; each implementation loads images its own way.

    Every implementation trains a model of its own and continues from call to call, so the steady
    state is timed. The first call includes set-up, compilation and a first block.
    """

    api = 1
    name = "training"
    summary = "training steps of an old tutorial's VAE on MNIST, both objectives"
    group = "training"
    Options = TrainingStepsOptions
    options: TrainingStepsOptions

    def implementations(self, device: torch.device) -> Sequence[Implementation]:
        cuda = device.type == "cuda"
        engines = [name for name in get_args(EngineName) if cuda or name != "graph"]
        precisions = [name for name in get_args(Precision) if cuda or name != "tf32"]
        ours = [
            Implementation(
                f"relaxit {engine} {precision}",
                lambda engine=engine, precision=precision: self._ours(device, engine, precision),  # type: ignore[misc]
                compiled=engine == "compile",
            )
            for precision, engine in itertools.product(precisions, engines)
        ]
        lower_bounds = [
            Implementation(
                f"products {precision}",
                lambda precision=precision: self._products(device, precision),  # type: ignore[misc]
                _NOTES["products"],
                lower_bound=precision == "float32",
            )
            for precision in precisions
        ]
        script = Implementation(
            "tutorial",
            lambda: self._script(device),
            _NOTES["tutorial"],
            reference=True,
            baseline="tutorial",
        )
        return [script, *ours, *lower_bounds]

    def _script(self, device: torch.device) -> Callable[[], Tensor]:
        model = tutorial.TutorialVae().to(device)
        optimizer = optim.Adam(model.parameters(), lr=1e-3)
        loader, _ = tutorial.loaders(Path(self.options.data_dir), device)
        batches = _endless(loader)
        model.train()

        def call() -> Tensor:
            losses = [
                tutorial.train_batch(model, optimizer, data.to(device))
                for data, _ in itertools.islice(batches, self.options.steps)
            ]
            return torch.tensor(losses)

        return call

    def _ours(
        self, device: torch.device, engine: EngineName, precision: Precision
    ) -> Callable[[], Tensor]:
        flags = {
            "data": {"dir": self.options.data_dir},
            "device": str(device),
            "engine": engine,
            "precision": precision,
        }
        trainer = Trainer(build(resolve([*zoo.recipe_layers(RECIPE), flags])))
        trainer.experiment.model.train()
        indices = _orders(trainer)

        def call() -> Tensor:
            with flushed_denormals():
                for index in itertools.islice(indices, self.options.steps):
                    trainer.train_step(index)
            return torch.tensor([*trainer.means().values()])

        return call

    def _products(self, device: torch.device, precision: Precision) -> Callable[[], Tensor]:
        pixels, draw = 28 * 28, tutorial.LATENTS * tutorial.VALUES
        encoder, decoder = (pixels, *_HIDDEN, draw), (draw, *reversed(_HIDDEN), pixels)
        step = training_matmuls(encoder, decoder, tutorial.BATCH_SIZE, precision, device)

        def call() -> Tensor:
            return [step() for _ in range(self.options.steps)][-1]

        return call


def _endless(loader: DataLoader[Any]) -> Iterator[Any]:
    """Yield the batches of one epoch after the other."""
    while True:
        yield from loader


def _orders(trainer: Trainer) -> Iterator[Tensor]:
    """Yield batches of image indices, in the order of a run."""
    for epoch in itertools.count():
        order = trainer.experiment.order(epoch)
        yield from order.split(trainer.experiment.config.batch_size)
