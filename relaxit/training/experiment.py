"""From a configuration to the objects of a run: the one place where names become things."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from relaxit.config import RunConfig
from relaxit.data.batches import read
from relaxit.data.dataset import Images
from relaxit.environment import choose_device
from relaxit.errors import ConfigurationError
from relaxit.models.vae import Vae
from relaxit.registry import default
from relaxit.relaxation import Relaxation
from relaxit.schedules import temperature_schedule
from relaxit.training.objective import NegativeElbo
from relaxit.training.seeds import derive
from relaxit.training.temperature import Temperature

__all__ = ["Experiment", "build", "build_model", "build_objective", "in_full", "load_images"]

DEFAULT_DATA_DIR = "data"


@dataclass
class Experiment:
    """Everything a run works with, on its device.

    Attributes:
        config: what it was built from.
        device: where it runs.
        images: the pictures, held-out part separated.
        objective: what is minimised.
        model: the autoencoder.
        temperature: the temperature, a module.
        steps: optimizer steps of the whole run.
    """

    config: RunConfig
    device: torch.device
    images: Images
    objective: NegativeElbo
    model: Vae
    temperature: Temperature
    steps: int

    @property
    def relaxation(self) -> Relaxation:
        return self.objective.relaxation

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self.images.train) // self.config.batch_size)


def build_objective(config: RunConfig) -> NegativeElbo:
    """The objective alone: no data and no model, for checks before anything is loaded.

    Raises:
        UnknownName, PluginError, ConfigurationError, Unsupported: if names or options do not fit.
    """
    registry = default()
    found = registry.find("relaxation", config.relaxation.name)
    relaxation: Relaxation = found.from_json(config.relaxation.options)
    _check_memory(config, relaxation)
    t = config.temperature
    temperature_schedule(t.schedule, t.initial, t.final, 1, t.rate)  # refuses a contradiction
    return NegativeElbo(
        relaxation=relaxation,
        estimator=registry.find("estimator", config.estimator.name).from_json(
            config.estimator.options
        ),
        kl=config.objective.kl,
        prior_temperature=config.objective.prior_temperature,
    )


def load_images(config: RunConfig, download: bool = False) -> Images:
    """The pictures of a configuration, on the CPU, validation part held out.

    Raises:
        UnknownName: if there is no such data set.
        DataError: if its files are missing or damaged.
    """
    source = default().find("dataset", config.data.name).from_json({})
    images: Images = source.load(Path(config.data.dir or DEFAULT_DATA_DIR), download)
    return images.hold_out(config.data.validation)


def build_model(config: RunConfig, relaxation: Relaxation, pixels: int) -> Vae:
    """The autoencoder with its first weights, which depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        # The CPU's generator by name: torch.manual_seed would reseed those of other devices too.
        torch.default_generator.manual_seed(derive(config.seed, "weights"))
        return Vae(
            relaxation,
            config.latents,
            pixels,
            config.model.hidden,
            config.model.params_activation,
            config.model.init,
        )


def build(config: RunConfig, download: bool = False) -> Experiment:
    """All objects of a run. torch's global random state is left as it was.

    Raises:
        RelaxitError: whatever is wrong with the configuration or the data, before anything is
            written.
    """
    device = choose_device(config.device)
    objective = build_objective(config)
    images = load_images(config, download)
    model = build_model(config, objective.relaxation, images.pixels)
    if config.model.init == "scaled":
        model.fit_mean(_mean_image(images))
    steps = config.epochs * -(-len(images.train) // config.batch_size)
    return Experiment(
        config=in_full(config, objective),
        device=device,
        images=images.to(device),
        objective=objective,
        model=model.to(device),
        temperature=Temperature(config.temperature, steps).to(device),
        steps=steps,
    )


def in_full(config: RunConfig, objective: NegativeElbo) -> RunConfig:
    """The configuration with every option of relaxation and estimator, defaults included.

    A saved run must not change when a plugin changes a default.
    """
    parts = {"relaxation": objective.relaxation, "estimator": objective.estimator}
    full = {
        key: getattr(config, key).model_copy(
            update={"options": part.options.model_dump(mode="json")}
        )
        for key, part in parts.items()
    }
    return config.model_copy(update=full)


def _mean_image(images: Images) -> torch.Tensor:
    sums = [read(part, images.levels).sum(0) for part in images.train.split(10_000)]
    return torch.stack(sums).sum(0) / len(images.train)


def _check_memory(config: RunConfig, relaxation: Relaxation) -> None:
    """Refuse latents that cannot fit, by arithmetic, before anything is allocated."""
    entries = config.latents * (relaxation.param_shape.numel() + relaxation.event_shape.numel())
    weights = entries * (config.model.hidden[-1] if config.model.hidden else 1)
    # Four bytes each; weights, gradients and Adam's two moments; as many copies of a batch.
    needed = 4 * 4 * (weights + entries * config.batch_size)
    there = (
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    )
    if there and needed > there:
        raise ConfigurationError(
            f"about {needed / 2**30:.0f} GiB are needed for {config.latents} latents of shape "
            f"{list(relaxation.param_shape)} and batches of {config.batch_size}; this machine has "
            f"{there / 2**30:.0f} GiB"
        )
