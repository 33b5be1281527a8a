"""``relaxit.train``: what ``relaxit train`` does, from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from relaxit.api.launch import open_directory, require_finished
from relaxit.api.progress import progress_of
from relaxit.api.run import Run
from relaxit.api.runs import Runs, train_seeds
from relaxit.environment import flushed_denormals
from relaxit.errors import ConfigurationError
from relaxit.options import Configured
from relaxit.training import KEYS, WORDS, RunConfig, build, is_default_task, merge, nest, resolve
from relaxit.training import train as train_loop
from relaxit.training.runs import RunDirectory

__all__ = ["configuration", "train"]

_TABLES = {"relaxation": "relaxation", "estimator": "estimator", "task": "task", "dataset": "data"}


def train(
    recipe: str | Path | None = None,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    seeds: int | Sequence[int] | None = None,
    download: bool = False,
    progress: bool = True,
    **settings: Any,
) -> Run | Runs:
    """Train a model as ``relaxit train`` does, and return it.

    Settings have the names of the flags: ``epochs=3``, ``lr=1e-3``, ``temperature=0.5``,
    ``dataset="mnist"``, ``data_dir="data"``. Relaxation, estimator, task and data set may be names,
    objects with their options, or tables ``{"name": ..., "options": {...}}``. Any key of a recipe
    may be given as well.

    Args:
        recipe: zoo recipe or file; if absent, the default recipe, or the defaults of the task.
        out: run directory; a new one in ``runs/`` if absent.
        overwrite: whether a run in ``out`` is replaced.
        seeds: number of seeds, from ``seed`` on, or the seeds: then all of them are trained.
        download: whether missing data files may be downloaded.
        progress: whether progress is shown, in a notebook or on stderr.
        **settings: settings of the run.

    Returns:
        The run, or with ``seeds`` a list of runs with their means and standard errors.

    Raises:
        RelaxitError: for any problem with settings or data, before anything is written.
        DivergenceError: if the loss is not finite; the last good weights are saved first.
        KeyboardInterrupt: after Ctrl-C, when the run is saved.

    Example:
        >>> import relaxit, tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     bits = relaxit.get("binary")
        ...     run = relaxit.train(relaxation=bits, epochs=1, out=f"{place}/run", progress=False)
        >>> run.setup.relaxation, run.metrics[-1]["epoch"]
        (Binary(), 1)
    """
    config = configuration(recipe, settings)
    path = None if out is None else Path(out)
    if seeds is not None:
        chosen = range(config.seed, config.seed + seeds) if isinstance(seeds, int) else seeds
        return train_seeds(config, chosen, path, overwrite, download, progress)
    if path is not None:
        RunDirectory(path).check_free(overwrite)
    experiment = build(config, download)
    run = open_directory(experiment, path, overwrite)
    with flushed_denormals(), progress_of(experiment, run.path, progress) as callback:
        outcome = train_loop(experiment, run, callback)
    require_finished(outcome.exit_code, run.path)
    return Run(
        experiment.config,
        experiment.task,
        experiment.setup,
        experiment.model,
        outcome.rows,
        run.path,
        experiment,
    )


def configuration(recipe: str | Path | None, settings: Mapping[str, Any]) -> RunConfig:
    """Return the configuration of a recipe with settings.

    Args:
        recipe: as for :func:`train`.
        settings: as for :func:`train`.

    Raises:
        ConfigurationError: naming the setting that is wrong.

    Example:
        >>> configuration("categorical-vae", {"lr": 1e-3, "relaxation": "binary"}).optimizer.lr
        0.001
    """
    from relaxit import zoo

    flat: dict[str, Any] = {}
    tables: dict[str, Any] = {}
    for name, value in settings.items():
        if name in _TABLES and not isinstance(value, str):
            tables[_TABLES[name]] = _table(name, value)
        elif isinstance(value, Mapping) or name not in KEYS:
            tables[name] = value
        else:
            flat[KEYS[name]] = value
    if "temperature.initial" in flat and "temperature.schedule" not in flat:
        flat["temperature.schedule"] = "constant"
    given = merge(nest(flat), tables)
    named = recipe or (zoo.DEFAULT if is_default_task(given) else None)
    layers = zoo.recipe_layers(str(named)) if named else []
    return resolve([*layers, given], WORDS)


def _table(name: str, value: Any) -> dict[str, Any]:
    """Return an object of a plugin as its name and options."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Configured) and value.kind == name:
        return {"name": value.name, "options": value.options.model_dump(mode="json")}
    raise ConfigurationError(
        f"{name} must be a name, an object of a registered class or a table, got {value!r}"
    )
