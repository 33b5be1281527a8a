"""Which runs an ensemble is made of, and whether they train as one or in turn."""

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
"""Weights times batch size, above which a CPU gains nothing by an ensemble.

Ten seeds of a VAE on one core, time as an ensemble over time in turn: 0.41 at 3e5, 0.50 at 4e6,
0.60 at 1e7, 0.87 at 3.5e7, 1.03 at 1.1e8 (MNIST; 1.3 on two cores).
That was before a run alone drew by a fast form: on digits it is now 0.84 with the default networks,
and 0.77 with hidden layers of 64 and 32 units.
"""


@dataclass(frozen=True)
class Plan:
    """Every seed at every temperature.

    Attributes:
        seeds: those of the runs; that of the configuration alone if empty.
        temperatures: at step 0; that of the configuration alone if empty.
    """

    seeds: tuple[int, ...] = ()
    temperatures: tuple[float, ...] = ()

    def configs(self, config: RunConfig) -> dict[str, RunConfig]:
        """The configuration of each run by its name, temperatures in the outer loop.

        Raises:
            ConfigurationError: if one of them is not what a configuration may have.

        Example:
            >>> from relaxit.training.config import resolve
            >>> structure = {"name": "categorical", "options": {"categories": 3}}
            >>> config = resolve([{"relaxation": structure, "latents": 2, "epochs": 1}])
            >>> list(Plan(seeds=(0, 1), temperatures=(0.5,)).configs(config))
            ['temperature-0.5-seed-0', 'temperature-0.5-seed-1']
            >>> Plan(seeds=(7, 8)).configs(config)["seed-8"].seed
            8
        """
        found: dict[str, RunConfig] = {}
        for tau in self.temperatures or (config.temperature.initial,):
            for seed in self.seeds or (config.seed,):
                words = [f"temperature-{tau}"] if self.temperatures else []
                words += [f"seed-{seed}"] if self.seeds else []
                own = {"seed": seed, "temperature": {"initial": tau}}
                found["-".join(words)] = resolve([config.model_dump(mode="json"), own])
        return found


def batching_pays(experiment: Experiment, count: int) -> bool:
    """Whether an ensemble is faster than as many runs in turn.

    On a GPU always: a small model leaves it idle most of the time. On a CPU only where a step is
    not arithmetic, for that is the same either way: a step of a hundred pictures through a network
    of a million weights takes as long, or longer, for ten weights of it at once fit no cache.
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
    """The runs as one ensemble where that is wanted, possible and faster; otherwise None.

    Args:
        experiments: of :func:`relaxit.training.experiment.build_all`.
        mode: ``auto`` decides by :func:`batching_pays`.

    Returns:
        With None, why what was wanted cannot be; empty if it was not wanted.

    Raises:
        Unsupported: with ``always``, if they cannot be trained as an ensemble.
    """
    if mode == "never" or (mode == "auto" and not batching_pays(experiments[0], len(experiments))):
        return None, ""
    engine = experiments[0].config.engine
    if mode == "auto" and engine not in ("auto", "eager"):
        return None, f"engine {engine!r} runs one training at a time"
    try:
        return Ensemble(experiments), ""
    except Unsupported as error:
        if mode == "always":
            raise
        return None, str(error)
