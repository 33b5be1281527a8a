"""``relaxit.fit``: train a module with a loss of one's own, without writing a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from relaxit.api.given import Given, Loss, Measure, NoStructure
from relaxit.api.launch import open_directory, require_finished
from relaxit.api.progress import progress_of
from relaxit.api.run import Run
from relaxit.api.runs import Runs
from relaxit.data import Examples, Splits
from relaxit.environment import choose_device, flushed_denormals
from relaxit.errors import ConfigurationError, DataError
from relaxit.estimators import Pathwise
from relaxit.training import (
    KEYS,
    WORDS,
    Experiment,
    RunConfig,
    Setup,
    Temperature,
    merge,
    nest,
    preflight,
    seeded_weights,
    train,
    validated,
)
from relaxit.training.runs import RunDirectory

__all__ = ["fit"]

Model = nn.Module | Callable[[], nn.Module]
_SETTINGS = {
    *("temperature", "schedule", "final_temperature", "temperature_rate", "validation", "epochs"),
    *("batch_size", "optimizer", "lr", "lr_schedule", "lr_warmup", "weight_decay", "seed"),
    *("device", "engine"),
}


def fit(
    model: Model,
    loss: Loss,
    data: Any,
    *,
    test: Any = None,
    metrics: Mapping[str, Measure] | None = None,
    seeds: int | Sequence[int] | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: bool = True,
    **settings: Any,
) -> Run | Runs:
    """Train a module with a loss: with schedules, seeds, checkpoints, resuming and tables.

    Args:
        model: the module, or a function that makes one, whose weights then depend on the seed.
        loss: ``loss(model, batch, step)`` returns the loss of each example ``[B]``, or their mean.
            ``batch.inputs`` and ``batch.targets`` are columns, ``step.temperature`` is the current
            temperature and ``step.generator`` the source of noise.
        data: training examples: a tensor of inputs, a pair of inputs and targets, a table of
            columns, :class:`~relaxit.data.Examples` or :class:`~relaxit.data.Splits`.
        test: held-out examples in the same form.
        metrics: further metrics of held-out examples by name, ``metric(model, batch)`` ``[B]``.
        seeds: number of seeds, from ``seed`` on, or the seeds; ``model`` must be a function then.
        out: run directory; nothing is written if absent.
        overwrite: whether a run in ``out`` is replaced.
        resume: whether to continue the run in ``out``.
        progress: whether progress is shown, in a notebook or on stderr.
        **settings: ``epochs``, ``batch_size``, ``lr``, ``lr_schedule``, ``lr_warmup``,
            ``optimizer``, ``weight_decay``, ``temperature``, ``schedule``, ``final_temperature``,
            ``temperature_rate``, ``validation``, ``seed``, ``device`` and ``engine``, as for
            ``relaxit train``.

    Returns:
        The run, or with ``seeds`` a list of runs with their means and standard errors.

    Raises:
        RelaxitError: for any problem with settings or data, before anything is written.
        DivergenceError: if the loss is not finite.
        KeyboardInterrupt: after Ctrl-C, when the run is saved, if it has a directory.

    Example:
        >>> import torch, relaxit
        >>> def loss(model, batch, step):
        ...     z = relaxit.gumbel_softmax(
        ...         model(batch.inputs), step.temperature, generator=step.generator
        ...     )
        ...     return (z[:, 0] - batch.targets) ** 2
        >>> x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
        >>> y = (x[:, 0] > 0).float()
        >>> run = relaxit.fit(
        ...     lambda: nn.Linear(3, 2), loss, (x, y), epochs=30, lr=0.05, final_temperature=0.5,
        ...     schedule="linear", progress=False,
        ... )
        >>> run.metrics[-1]["train_loss"] < run.metrics[0]["train_loss"]
        True
    """
    config = _configuration(settings)
    splits = _splits(data, test, config.data.validation)
    path = None if out is None else Path(out)
    if resume and path is None:
        raise ConfigurationError("resume=True continues the run in out=...: give its directory")
    if seeds is None:
        return _fit(
            _experiment(model, loss, metrics or {}, splits, config),
            path,
            overwrite,
            resume,
            progress,
        )
    if isinstance(model, nn.Module):
        raise ConfigurationError(
            "seeds=... needs a function that makes the module, such as lambda: Net(), got a module"
        )
    chosen = range(config.seed, config.seed + seeds) if isinstance(seeds, int) else seeds
    runs = []
    for seed in chosen:
        member = config.model_copy(update={"seed": seed})
        experiment = _experiment(model, loss, metrics or {}, splits, member)
        where = None if path is None else path / f"seed-{seed}"
        runs.append(_fit(experiment, where, overwrite, resume, progress))
    return Runs(runs)


def _fit(
    experiment: Experiment, path: Path | None, overwrite: bool, resume: bool, progress: bool
) -> Run:
    preflight(experiment)
    run = None
    if path is not None:
        run = RunDirectory(path) if resume else open_directory(experiment, path, overwrite)
    with flushed_denormals(), progress_of(experiment, path, progress) as callback:
        outcome = train(experiment, run, callback, resume)
    require_finished(outcome.exit_code, path)
    e = experiment
    return Run(e.config, e.task, e.setup, e.model, outcome.rows, path, e)


def _configuration(settings: Mapping[str, Any]) -> RunConfig:
    """Return the configuration of a run without registered task and structure."""
    unknown = settings.keys() - _SETTINGS
    if unknown:
        raise ConfigurationError(
            f"{min(unknown)} is no setting of relaxit.fit; it has {', '.join(sorted(_SETTINGS))}"
        )
    named = {"task": {"name": Given.name}, "relaxation": {"name": NoStructure.name}}
    given = nest({KEYS[name]: value for name, value in settings.items()})
    return validated(merge({**named, "data": {"name": "given"}}, given), WORDS)


def _experiment(
    model: Model,
    loss: Loss,
    measures: Mapping[str, Measure],
    data: Splits,
    config: RunConfig,
) -> Experiment:
    device = choose_device(config.device)
    steps = config.epochs * -(-len(data.train) // config.batch_size)
    if not isinstance(model, nn.Module):
        with seeded_weights(config.seed):
            model = model()
    temperature = Temperature(config.temperature, steps).to(device)
    return Experiment(
        config=config,
        device=device,
        data=data.to(device),
        task=Given(loss, measures, temperature),
        setup=Setup(NoStructure(), Pathwise(), batch_size=config.batch_size, seed=config.seed),
        model=model.to(device),
        temperature=temperature,
        temperatures=nn.ModuleDict(),
        steps=steps,
    )


def _splits(data: Any, test: Any, validation: int) -> Splits:
    """Return data in any of its forms as parts, checked to be finite."""
    if isinstance(data, Splits):
        splits = data
    else:
        splits = (
            Splits(_examples(data)) if test is None else Splits(_examples(data), _examples(test))
        )
    for name, column in splits.train.columns.items():
        if column.is_floating_point() and not bool(column.isfinite().all()):
            raise DataError(f"column {name!r} has values that are not finite (NaN or infinity)")
    return splits.hold_out(validation)


def _examples(data: Any) -> Examples:
    if isinstance(data, Examples):
        return data
    if isinstance(data, Mapping):
        return Examples.of(**data)
    if isinstance(data, tuple):
        names = ("inputs", "targets")
        if len(data) > len(names):
            raise DataError("data is a pair of inputs and targets; give more columns as a table")
        return Examples.of(**dict(zip(names, data, strict=False)))
    if isinstance(data, Tensor):
        return Examples({"inputs": data})
    raise DataError(
        f"data must be a tensor, a pair, a table of columns, Examples or Splits, got {type(data)}"
    )
