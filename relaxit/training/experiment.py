"""From a configuration to the objects of a run; plugin names are resolved only here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from relaxit.data import Format, Images, PartName
from relaxit.drawing import errors_as_warnings
from relaxit.environment import choose_device, require_memory
from relaxit.errors import ConfigurationError
from relaxit.estimators import StatefulEstimator
from relaxit.plugins import default_registry
from relaxit.relaxation import Relaxation
from relaxit.training.config import ObjectiveConfig, RunConfig
from relaxit.training.precision import check_precision
from relaxit.training.schedules import cosine_decay, ramp, temperature_schedule
from relaxit.training.seeds import derive
from relaxit.training.task import ESTIMATOR_STATE, Row, Setup, Task
from relaxit.training.temperature import Temperature

__all__ = [
    "Experiment",
    "build",
    "build_all",
    "build_members",
    "build_model",
    "build_task",
    "load_images",
    "with_defaults",
]

DEFAULT_DATA_DIR = "data"


@dataclass
class Experiment:
    """All objects of a run, on its device.

    Attributes:
        config: the configuration that it was built from.
        device: device of the run.
        images: the images, with the validation part held out.
        task: the task that is trained.
        setup: relaxation, estimator and settings, as passed to the task.
        model: the model that the task built.
        temperature: the temperature, a module.
        steps: optimizer steps of the whole run.
    """

    config: RunConfig
    device: torch.device
    images: Images
    task: Task
    setup: Setup
    model: nn.Module
    temperature: Temperature
    steps: int

    @property
    def relaxation(self) -> Relaxation:
        return self.setup.relaxation

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self.images.train) // self.config.batch_size)

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of a step: peak rate times warm-up times decay."""
        settings = self.config.optimizer
        decay = cosine_decay(step, self.steps) if settings.schedule == "cosine" else 1.0
        return settings.lr * decay * ramp(step + 1, settings.warmup * self.steps)

    def kl_weight(self, step: int) -> float:
        """Return the weight of the KL term at a step."""
        return ramp(step, self.config.objective.kl_warmup * self.steps)

    def noise_generator(self) -> torch.Generator:
        """Return the generator of the run's noise, in its initial state."""
        return torch.Generator(self.device).manual_seed(derive(self.config.seed, "noise"))

    def order(self, epoch: int) -> Tensor:
        """Return the order of the training images ``[N]`` in an epoch.

        It depends on seed and epoch only and is drawn on the CPU, so that it is the same on every
        device and after a restart.
        """
        generator = torch.Generator().manual_seed(derive(self.config.seed, "order", epoch))
        return torch.randperm(len(self.images.train), generator=generator).to(self.device)

    def evaluate(self, name: PartName, seed: int) -> dict[str, float]:
        """Evaluate the model on a held-out part; return the metrics by their full names."""
        part = self.images.part(name, self.task.needs_labels)
        with evaluation_mode(self.model):
            metrics = self.task.evaluate(self.setup, self.model, part, seed)
        return {f"{name}_{metric}": value for metric, value in metrics.items()}

    def draw(self, rows: Sequence[Row], directory: Path) -> None:
        """Write the figures of a run. A figure that cannot be drawn does not end the run."""
        with errors_as_warnings(), evaluation_mode(self.model):
            self.task.draw(self.setup, self.model, self.images, rows, directory)


@contextlib.contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Context without gradients and in evaluation mode; the model's former mode is restored."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


def build_task(config: RunConfig) -> tuple[Task, Setup]:
    """Build and check the task and its setup, before any data or model is loaded.

    Raises:
        UnknownName, PluginError, ConfigurationError, Unsupported: if names or options do not fit.
    """
    registry = default_registry()
    relaxation, estimator, task = (
        registry.find(kind, choice.name).from_json(choice.options)
        for kind, choice in (
            ("relaxation", config.relaxation),
            ("estimator", config.estimator),
            ("task", config.task),
        )
    )
    t = config.temperature
    temperature_schedule(t.schedule, t.initial, t.final, 1, t.rate)  # raises if settings conflict
    setup = Setup(
        relaxation=relaxation,
        estimator=estimator,
        latents=config.latents,
        batch_size=config.batch_size,
        binarise=config.data.binarise,
        objective=config.objective,
        networks=config.model,
        seed=config.seed,
        precision=config.precision,
    )
    _check_objective(task, config.objective)
    if config.precision == "bfloat16" and not task.autocasts:
        raise ConfigurationError(
            f"precision (--precision): task {task.name!r} does not support bfloat16; use float32"
        )
    task.check(setup)
    estimator.check_joint(relaxation, setup.latents)
    _check_memory(setup)
    return task, setup


def load_images(config: RunConfig, download: bool = False) -> Images:
    """Load the images of a configuration, on the CPU, with the validation part held out.

    Raises:
        UnknownName: if the data set is not registered.
        DataError: if its files are missing or damaged.
    """
    source = default_registry().find("dataset", config.data.name).from_json({})
    images: Images = source.load(Path(config.data.dir or DEFAULT_DATA_DIR), download)
    return images.hold_out(config.data.validation)


def build_model(task: Task, setup: Setup, image_format: Format) -> nn.Module:
    """Build the model with its initial weights, which depend on the seed only."""
    with torch.random.fork_rng(devices=[]):
        # Only the CPU's generator: torch.manual_seed would also reseed those of other devices.
        torch.default_generator.manual_seed(derive(setup.seed, "weights"))
        model = task.build(setup, image_format)
        if isinstance(setup.estimator, StatefulEstimator):
            state = setup.estimator.build_state(setup.relaxation, setup.latents)
            model.add_module(ESTIMATOR_STATE, state)  # trained, saved and restored with the model
        return model


def build(config: RunConfig, download: bool = False) -> Experiment:
    """Build all objects of a run. torch's global random state is not changed.

    Args:
        config: configuration of the run.
        download: whether missing data files may be downloaded.

    Raises:
        RelaxitError: if the configuration or the data are invalid, before anything is written.
    """
    return build_all([config], download)[0]


def build_members(
    config: RunConfig, seeds: Sequence[int], download: bool = False
) -> list[Experiment]:
    """Build runs that differ in their seed only; the data set is loaded once.

    Raises:
        RelaxitError: as :func:`build`.
    """
    return build_all([config.model_copy(update={"seed": seed}) for seed in seeds], download)


def build_all(configs: Sequence[RunConfig], download: bool = False) -> list[Experiment]:
    """Build runs of one task on one data set, which is loaded once.

    Args:
        configs: at least one configuration; they may differ in seed and temperature only.
        download: whether missing data files may be downloaded.

    Raises:
        RelaxitError: as :func:`build`.
    """
    config = configs[0]
    device = choose_device(config.device)
    _check_execution(config, device)
    task, setup = build_task(config)
    images = load_images(config, download)
    if task.needs_labels and not images.labelled:
        raise ConfigurationError(
            f"task {task.name!r} needs labels, which data set {config.data.name!r} does not have; "
            "choose another --dataset"
        )
    steps = config.epochs * -(-len(images.train) // config.batch_size)
    moved = images.to(device)
    members = []
    for member in configs:
        member_setup = replace(setup, seed=member.seed)
        model = build_model(task, member_setup, images.format)
        task.prepare(member_setup, model, images)
        members.append(
            Experiment(
                config=with_defaults(member, task, member_setup),
                device=device,
                images=moved,
                task=task,
                setup=member_setup,
                model=model.to(device),
                temperature=Temperature(member.temperature, steps).to(device),
                steps=steps,
            )
        )
    return members


def with_defaults(config: RunConfig, task: Task, setup: Setup) -> RunConfig:
    """Return the configuration with all options of relaxation, estimator and task filled in.

    Aliases are replaced by registered names, and defaults are included, since a saved run must not
    change when a plugin changes a default.
    """
    parts = {"relaxation": setup.relaxation, "estimator": setup.estimator, "task": task}
    full = {
        key: getattr(config, key).model_copy(
            update={
                "name": _registered(getattr(config, key).name, part.name),
                "options": part.options.model_dump(mode="json"),
            }
        )
        for key, part in parts.items()
    }
    return config.model_copy(update=full)


def _registered(given: str, name: str) -> str:
    """Return a name as it was given, with its distribution perhaps, unless it is an alias."""
    return given if given.rpartition(":")[2] == name else name


def _check_objective(task: Task, settings: ObjectiveConfig) -> None:
    """Reject settings of the KL term that the task would silently ignore."""
    default = ObjectiveConfig()
    changed = [
        f"objective.{key} = {value!r}"
        for key, value in settings
        if not task.has_kl and value != getattr(default, key)
    ]
    if changed:
        raise ConfigurationError(
            f"{', '.join(changed)}: task {task.name!r} has no KL term; omit such settings"
        )


def _check_execution(config: RunConfig, device: torch.device) -> None:
    """Check that the device supports engine and precision."""
    if config.engine == "graph" and device.type != "cuda":
        raise ConfigurationError(
            f"engine (--engine): graph needs a CUDA device, this run is on {device.type}; use "
            "auto, eager or compile"
        )
    check_precision(config.precision, device)


def _check_memory(setup: Setup) -> None:
    shape = setup.relaxation.param_shape
    entries = setup.latents * (shape.numel() + setup.relaxation.event_shape.numel())
    # Four bytes each, for params, gradients and Adam's two moments.
    require_memory(4 * 4 * entries, f"{setup.latents} latents of shape {list(shape)}")
