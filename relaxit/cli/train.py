"""``relaxit train``: train any registered task through any registered relaxation."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relaxit.cli.flags import OPTION_FLAGS, configure, given, named_by_flag
from relaxit.cli.nouns import noun_of
from relaxit.cli.output import ProgressCallback, print_json, tell
from relaxit.cli.plugin_option import PluginFiles, tell_changes
from relaxit.cli.run_header import print_header
from relaxit.cli.tables import print_table
from relaxit.errors import ConfigurationError

if TYPE_CHECKING:
    from relaxit.training import Display, Outcome, RunConfig
    from relaxit.training.ensembles import Plan

__all__ = ["train"]

_WHAT, _OBJECTIVE = "What to train", "Objective and temperature"
_DATA, _RUN = "Data", "Run and output"


def _option(*names: str, help: str, panel: str, env: bool = True) -> Any:
    variable = "RELAXIT_" + names[0].strip("-").upper().replace("-", "_") if env else None
    return typer.Option(
        *names, help=help, rich_help_panel=panel, envvar=variable, show_default=False
    )


def train(
    context: typer.Context,
    relaxation: Annotated[
        str | None,
        _option("--relaxation", help="Name of a registered relaxation.", panel=_WHAT),
    ] = None,
    options: Annotated[
        list[str] | None,
        _option(
            "-o",
            "--option",
            help="Option KEY=VALUE of the relaxation; may be repeated.",
            panel=_WHAT,
            env=False,
        ),
    ] = None,
    task: Annotated[
        str | None,
        _option(
            "--task",
            help="Name of a registered task; a variational autoencoder if absent.",
            panel=_WHAT,
        ),
    ] = None,
    task_options: Annotated[
        list[str] | None,
        _option(
            "--task-option",
            help="Option KEY=VALUE of the task; may be repeated.",
            panel=_WHAT,
            env=False,
        ),
    ] = None,
    estimator: Annotated[
        str | None,
        _option("--estimator", help="Name of a registered gradient estimator.", panel=_WHAT),
    ] = None,
    estimator_options: Annotated[
        list[str] | None,
        _option(
            "--estimator-option",
            help="Option KEY=VALUE of the estimator; may be repeated.",
            panel=_WHAT,
            env=False,
        ),
    ] = None,
    latents: Annotated[
        int | None, _option("--latents", help="Number of latent variables.", panel=_WHAT)
    ] = None,
    recipe: Annotated[
        str | None,
        _option(
            "--recipe",
            help="Zoo recipe, or a TOML, YAML or JSON file; flags take precedence.",
            panel=_WHAT,
        ),
    ] = None,
    plugin_files: PluginFiles = None,
    temperature: Annotated[
        float | None,
        _option(
            "--temperature",
            help="Constant temperature; with --schedule, the initial one.",
            panel=_OBJECTIVE,
        ),
    ] = None,
    schedule: Annotated[
        str | None,
        _option(
            "--schedule",
            help="Temperature schedule: constant, exponential, linear, cosine or learned.",
            panel=_OBJECTIVE,
        ),
    ] = None,
    final_temperature: Annotated[
        float | None,
        _option(
            "--final-temperature",
            help="Final temperature of the schedule; the lower limit of an exponential one.",
            panel=_OBJECTIVE,
        ),
    ] = None,
    temperature_rate: Annotated[
        float | None,
        _option(
            "--temperature-rate",
            help="Decay rate per step of the exponential schedule.",
            panel=_OBJECTIVE,
        ),
    ] = None,
    kl: Annotated[
        str | None,
        _option("--kl", help="KL term: discrete or relaxed.", panel=_OBJECTIVE),
    ] = None,
    prior_temperature: Annotated[
        float | None,
        _option(
            "--prior-temperature",
            help="Temperature of the relaxed prior, with --kl relaxed.",
            panel=_OBJECTIVE,
        ),
    ] = None,
    kl_warmup: Annotated[
        float | None,
        _option(
            "--kl-warmup",
            help="Fraction of the run over which the KL weight rises.",
            panel=_OBJECTIVE,
        ),
    ] = None,
    dataset: Annotated[
        str | None, _option("--dataset", help="Name of a registered data set.", panel=_DATA)
    ] = None,
    data_dir: Annotated[
        str | None, _option("--data-dir", help="Directory of the data files.", panel=_DATA)
    ] = None,
    download: Annotated[
        bool, _option("--download", help="Download missing data files.", panel=_DATA)
    ] = False,
    binarise: Annotated[
        str | None,
        _option(
            "--binarise",
            help="Binarisation of the images: none, threshold or dynamic.",
            panel=_DATA,
        ),
    ] = None,
    validation: Annotated[
        int | None,
        _option(
            "--validation",
            help="Number of training examples held out for model selection.",
            panel=_DATA,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        _option("--epochs", help="Number of passes over the training examples.", panel=_RUN),
    ] = None,
    batch_size: Annotated[
        int | None, _option("--batch-size", help="Examples per step.", panel=_RUN)
    ] = None,
    optimizer: Annotated[
        str | None, _option("--optimizer", help="Optimizer: adam or radam.", panel=_RUN)
    ] = None,
    lr: Annotated[float | None, _option("--lr", help="Peak learning rate.", panel=_RUN)] = None,
    lr_schedule: Annotated[
        str | None,
        _option("--lr-schedule", help="Learning rate schedule: constant or cosine.", panel=_RUN),
    ] = None,
    weight_decay: Annotated[
        float | None, _option("--weight-decay", help="Decoupled weight decay.", panel=_RUN)
    ] = None,
    device: Annotated[
        str | None,
        _option("--device", help="Device: auto, cpu, cuda, cuda:N or mps.", panel=_RUN),
    ] = None,
    engine: Annotated[
        str | None,
        _option(
            "--engine",
            help="Engine that executes the steps: auto, eager, compile or graph (CUDA).",
            panel=_RUN,
        ),
    ] = None,
    precision: Annotated[
        str | None,
        _option(
            "--precision",
            help="Precision of the matmuls in training: float32, tf32 (CUDA) or bfloat16.",
            panel=_RUN,
        ),
    ] = None,
    seed: Annotated[
        int | None, _option("--seed", help="Seed of weights, data order and noise.", panel=_RUN)
    ] = None,
    ensemble: Annotated[
        list[str] | None,
        _option(
            "--ensemble",
            help="Train several runs: seeds=N (from --seed on), seeds=A,B,... or "
            "temperatures=A,B,...; give both for every pair.",
            panel=_RUN,
            env=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        _option("--out", help="Run directory; a new one in runs/ if absent.", panel=_RUN),
    ] = None,
    overwrite: Annotated[
        bool,
        _option("--overwrite", help="Replace an existing run in --out.", panel=_RUN, env=False),
    ] = False,
    resume: Annotated[
        Path | None,
        _option(
            "--resume",
            help="Run directory to continue; --epochs may be changed.",
            panel=_RUN,
            env=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        _option(
            "--dry-run",
            help="Print the configuration without training.",
            panel=_RUN,
            env=False,
        ),
    ] = False,
    json: Annotated[
        bool, _option("--json", help="Print the result as JSON to stdout.", panel=_RUN, env=False)
    ] = False,
    quiet: Annotated[
        bool, _option("--quiet", help="Suppress progress output.", panel=_RUN)
    ] = False,
) -> None:
    """Train a model with discrete variables, on a GPU if there is one.

    Without flags, train the default recipe, a VAE on the bundled digits. Figures, metrics and
    weights are written to the run directory. Ctrl-C ends the run early and leaves it complete.
    """
    began = time.perf_counter()
    del plugin_files  # loaded by the option itself
    flat, several = given(context.params), ensemble or []
    if schedule is None and (temperature is not None or _names(several, "temperatures")):
        flat["temperature.schedule"] = "constant"
    if resume is not None:
        config, out = _resumed(resume, flat, _typed(context)), resume
    else:
        config = configure(recipe, flat, options or (), estimator_options or (), task_options or ())
    plan = _plan(several, config, temperature, _typed(context)) if several else None
    flags = OPTION_FLAGS if resume is None else {}  # a resumed run takes no options
    if dry_run:
        with named_by_flag(flags):
            _dry_run(config, plan, quiet)
        return
    from relaxit.environment import flushed_denormals

    if plan is not None:
        from relaxit.cli.ensemble import train_ensemble

        with flushed_denormals(), named_by_flag(flags):
            done, where = train_ensemble(config, plan, out, overwrite, download, quiet)
        if json:
            print_json({"run": str(where), **done.summary()}, allow_nan=False)
        raise typer.Exit(done.exit_code)
    with flushed_denormals(), named_by_flag(flags):
        outcome, where = _run(config, out, resume is not None, overwrite, download, quiet, began)
    if json:
        last = outcome.rows[-1] if outcome.rows else {}  # none if stopped before the first step
        print_json({"run": str(where), "exit_code": outcome.exit_code, **last})
    raise typer.Exit(outcome.exit_code)


def _names(several: Sequence[str], key: str) -> bool:
    return any(text.partition("=")[0].strip() == key for text in several)


def _plan(
    several: Sequence[str], config: RunConfig, temperature: float | None, typed: set[str]
) -> Plan:
    """Return the members of ``--ensemble``; raise if another flag contradicts them."""
    from relaxit.cli.ensemble import parse_plan

    plan = parse_plan(several, config.seed)
    if plan.temperatures and temperature is not None:
        raise ConfigurationError(
            f"--ensemble temperatures=... and --temperature {temperature}: give only one of them"
        )
    if "seed" in typed and plan.seeds and plan.seeds[0] != config.seed:
        raise ConfigurationError(
            f"--ensemble seeds=A,B,... already names the seeds: leave out --seed {config.seed}"
        )
    return plan


def _typed(context: typer.Context) -> set[str]:
    """Return the parameters given on the command line, not by the environment or a default."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source and source.name == "COMMANDLINE"}


def _resumed(path: Path, flat: dict[str, Any], typed: set[str]) -> RunConfig:
    """Return the configuration of a run to continue: its own, but for keys that may change."""
    from relaxit.cli.flags import FLAGS, nest
    from relaxit.training import resolve
    from relaxit.training.runs import RunDirectory

    saved = RunDirectory(path).read_config().model_dump(mode="json")
    free = {"epochs": "epochs", "device": "device", "engine": "engine", "data_dir": "data.dir"}
    allowed = {"resume", "json", "quiet", "dry_run", "download", "plugin_files", *free}
    if typed - allowed:
        named = {"options": "-o", "estimator_options": "--estimator-option"}
        named["task_options"] = "--task-option"
        flags = ", ".join(
            named.get(name, "--" + name.replace("_", "-")) for name in sorted(typed - allowed)
        )
        raise ConfigurationError(
            "--resume can be combined with --epochs, --device, --engine, --data-dir and --plugin "
            f"only; {flags} cannot change in mid-run"
        )
    changed = {key: flat[key] for name, key in free.items() if name in typed}
    tell_changes(path)
    if changed.get("epochs") not in (None, saved["epochs"]):
        tell(f"schedules now span {changed['epochs']} epochs instead of {saved['epochs']}")
    return resolve([saved, nest(changed)], FLAGS)


def _dry_run(config: RunConfig, plan: Plan | None, quiet: bool) -> None:
    from relaxit.environment import choose_device
    from relaxit.plugins import default_registry
    from relaxit.training import build_task, with_defaults

    choose_device(config.device)
    default_registry().find("dataset", config.data.name)
    task, setup = build_task(config)
    tell(f"would minimise the {task.statement(setup)}", quiet)
    if plan is not None:
        tell(f"members: {', '.join(plan.configs(config))}", quiet)
    print_json(with_defaults(config, task, setup).model_dump(mode="json"))


def _run(
    config: RunConfig,
    path: Path | None,
    resume: bool,
    overwrite: bool,
    download: bool,
    quiet: bool,
    began: float,
) -> tuple[Outcome, Path]:
    from relaxit.training import build, check_learned_temperature
    from relaxit.training import train as train_loop
    from relaxit.training.runs import RunDirectory

    imported = time.perf_counter()
    if path and not resume:
        RunDirectory(path).check_free(overwrite)
    experiment = build(config, download)  # any problem shows here, before a file is written
    if not resume:
        check_learned_temperature(experiment)
    run = RunDirectory(path) if path else RunDirectory.fresh(config)
    if not resume:
        if path:
            run.create(overwrite)
        run.write_config(experiment.config, experiment.images.format)
    built = time.perf_counter()
    print_header(experiment, f"seed {config.seed}", run.path, quiet)
    done, display = len(run.read_metrics()), experiment.task.display
    examples, noun = len(experiment.images.train), noun_of(experiment)
    with ProgressCallback(config.epochs, examples, done, display, quiet, noun) as callback:
        callback.waited = {"import": imported - began, "data and model": built - imported}
        outcome = train_loop(experiment, run, callback, resume)
    if not quiet:
        _conclude(outcome, run.path, display)
    return outcome, run.path


def _conclude(outcome: Outcome, path: Path, display: Display) -> None:
    if outcome.rows:
        _print_last(outcome.rows[-1], display)
    if outcome.exit_code:
        tell(f"stopped early; continue with: relaxit train --resume {path}")
    tell(f"figures, metrics and weights: {path}")


def _print_last(last: Mapping[str, float | int], display: Display) -> None:
    rows = []
    for part in ("train", "validation", "test"):
        values = [last.get(f"{part}_{metric}") for metric in display.columns]
        if any(value is not None for value in values):
            cells = ("" if value is None else f"{value:.{display.decimals}f}" for value in values)
            rows.append([part, *cells])
    title = f"after epoch {last['epoch']}, {display.fill(display.title, last)}"
    print_table(title, ["", *display.columns.values()], rows, stderr=True)
