"""The runs of an ensemble, and whether they train as one batched step or in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from relaxit.errors import Unsupported
from relaxit.training.config import RunConfig, resolve
from relaxit.training.ensembles.batched import Ensemble
from relaxit.training.experiment import Experiment

__all__ = ["Mode", "Plan", "batching_pays", "runs_batched"]

Mode = Literal["auto", "always", "never"]

_MOST_PRODUCTS = 50_000_000
"""Number of weights times batch size, above which batching does not pay on a CPU.

Time as an ensemble divided by time in turn, for ten seeds of a VAE on one core: 0.41 at 3e5, 0.50
at 4e6, 0.60 at 1e7, 0.87 at 3.5e7, 1.03 at 1.1e8 (MNIST; 1.3 on two cores).
These were measured before a single run used the fused implementation of sampling: on digits the
ratio is now 0.84 with the default networks, and 0.77 with hidden layers of 64 and 32 units.
"""


@dataclass(frozen=True)
class Plan:
    """Every seed at every temperature.

    Attributes:
        seeds: seeds of the runs; if empty, only that of the configuration.
        temperatures: temperatures at step 0; if empty, only that of the configuration.
    """

    seeds: tuple[int, ...] = ()
    temperatures: tuple[float, ...] = ()

    def configs(self, config: RunConfig) -> dict[str, RunConfig]:
        """Return the configuration of each run by name, with temperatures in the outer loop.

        Raises:
            ConfigurationError: if a seed or a temperature is invalid.

        Example:
            >>> from relaxit.training.config import resolve
            >>> structure = {"name": "categorical", "options": {"categories": 3}}
            >>> config = resolve([{"relaxation": structure, "latents": 2, "epochs": 1}])
            >>> list(Plan(seeds=(0, 1), temperatures=(0.5,)).configs(config))
            ['temperature-0.5-seed-0', 'temperature-0.5-seed-1']
            >>> Plan(seeds=(7, 8)).configs(config)["seed-8"].seed
            8
        """
        configs: dict[str, RunConfig] = {}
        for tau in self.temperatures or (config.temperature.initial,):
            for seed in self.seeds or (config.seed,):
                words = [f"temperature-{tau}"] if self.temperatures else []
                words += [f"seed-{seed}"] if self.seeds else []
                changes = {"seed": seed, "temperature": {"initial": tau}}
                configs["-".join(words)] = resolve([config.model_dump(mode="json"), changes])
        return configs


def batching_pays(experiment: Experiment, count: int) -> bool:
    """Whether an ensemble is faster than the same number of runs in turn.

    On a GPU it always is, since a small model leaves the GPU idle most of the time. On a CPU it is
    only where overhead dominates a step, since the amount of arithmetic is the same: with a
    hundred images per step and a million weights, an ensemble takes as long or longer, because the
    weights of ten networks at once exceed the cache.
    """
    if count < 2:
        return False
    if experiment.device.type != "cpu":
        return True
    weights = sum(parameter.numel() for parameter in experiment.model.parameters())
    return weights * experiment.config.batch_size <= _MOST_PRODUCTS


def runs_batched(
    experiments: Sequence[Experiment], mode: Mode = "auto"
) -> tuple[Ensemble | None, str]:
    """Return the runs as one ensemble if batching is enabled, possible and faster, else None.

    Args:
        experiments: experiments built by :func:`relaxit.training.build_all`.
        mode: ``always``, ``never``, or ``auto``, which decides by :func:`batching_pays`.

    Returns:
        The ensemble or None, and why batching, which would be faster, is not possible; empty
        otherwise.

    Raises:
        Unsupported: with ``always``, if the runs cannot be trained as an ensemble.
    """
    if mode == "never" or (mode == "auto" and not batching_pays(experiments[0], len(experiments))):
        return None, ""
    engine = experiments[0].config.engine
    if mode == "auto" and engine not in ("auto", "eager"):
        return None, f"engine {engine!r} trains one run at a time"
    try:
        return Ensemble(experiments), ""
    except Unsupported as error:
        if mode == "always":
            raise
        return None, str(error)
