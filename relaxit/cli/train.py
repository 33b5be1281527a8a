"""``relaxit train``: train any registered task through any registered relaxation."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from relaxit.cli.flags import configure, given, named_by_flag, settings
from relaxit.cli.output import print_json, tell
from relaxit.cli.plugin_option import tell_changes
from relaxit.cli.tables import print_table
from relaxit.cli.train_options import FLAGS, OPTION_FLAGS, OPTIONS, declare_options
from relaxit.errors import ConfigurationError

if TYPE_CHECKING:
    from relaxit.training import Display, Outcome, RunConfig
    from relaxit.training.ensembles import Plan

__all__ = ["train"]


@declare_options
def train(context: typer.Context, **values: Any) -> None:
    """Train a model with discrete variables, on a GPU if there is one.

    Without flags, train the default recipe, a VAE on the bundled digits. Figures, metrics and
    weights are written to the run directory. Ctrl-C ends the run early and leaves it complete.
    """
    began = time.perf_counter()
    flat, several = given(values), values["ensemble"] or []
    temperature, resume = values["temperature"], values["resume"]
    if values["schedule"] is None and (temperature is not None or _names(several, "temperatures")):
        flat["temperature.schedule"] = "constant"
    typed = _typed(context)
    if resume is not None:
        config = _resumed(resume, flat, typed)
    else:
        options = {
            "relaxation": values["option"],
            "estimator": values["estimator_option"],
            "task": values["task_option"],
            "dataset": values["dataset_option"],
        }
        config = configure(
            values["recipe"],
            flat,
            {kind: texts or () for kind, texts in options.items()},
            settings(values["set"] or ()),
        )
    plan = _plan(several, config, temperature, typed) if several else None
    with named_by_flag(OPTION_FLAGS if resume is None else {}):  # a resumed run takes no options
        if values["dry_run"]:
            _dry_run(config, plan, values["quiet"])
            return
        code, result = _train(config, plan, values, began)
    if values["json"]:
        print_json(result, allow_nan=plan is None)
    raise typer.Exit(code)


def _train(
    config: RunConfig, plan: Plan | None, values: Mapping[str, Any], began: float
) -> tuple[int, dict[str, Any]]:
    """Train one run or an ensemble; return the exit code, and the result for ``--json``."""
    from relaxit.environment import flushed_denormals

    out, overwrite, download = values["out"], values["overwrite"], values["download"]
    with flushed_denormals():
        if plan is not None:
            from relaxit.cli.ensemble import train_ensemble

            done, where = train_ensemble(config, plan, out, overwrite, download, values["quiet"])
            return done.exit_code, {"run": str(where), **done.summary()}
        outcome, where = _run(config, values, began)
    last = outcome.rows[-1] if outcome.rows else {}  # none if stopped before the first step
    return outcome.exit_code, {"run": str(where), "exit_code": outcome.exit_code, **last}


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
    from relaxit.training import nest, resolve
    from relaxit.training.runs import RunDirectory

    saved = RunDirectory(path).read_config().model_dump(mode="json")
    fixed = [o for o in OPTIONS if o.parameter in typed and not o.resumable]
    if fixed:
        flags = ", ".join(sorted(option.shown for option in fixed))
        raise ConfigurationError(
            "--resume can be combined with --epochs, --device, --engine, --data-dir and --plugin "
            f"only; {flags} cannot change in mid-run"
        )
    changed = {o.key: flat[o.key] for o in OPTIONS if o.key and o.parameter in typed}
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


def _run(config: RunConfig, values: Mapping[str, Any], began: float) -> tuple[Outcome, Path]:
    from relaxit.api import ProgressCallback, describe, open_directory
    from relaxit.training import build
    from relaxit.training import train as train_loop
    from relaxit.training.runs import RunDirectory

    imported = time.perf_counter()
    path, resume, quiet = values["out"], values["resume"], values["quiet"]
    if path and not resume:
        RunDirectory(path).check_free(values["overwrite"])
    e = build(config, values["download"])  # any problem shows before a file is written
    run = RunDirectory(resume) if resume else open_directory(e, path, values["overwrite"])
    built = time.perf_counter()
    for line in describe(e, f"seed {config.seed}", run.path):
        tell(line, quiet)
    done, display = len(run.read_metrics()), e.display
    with ProgressCallback(
        config.epochs, len(e.data.train), done, display, quiet, e.noun
    ) as callback:
        callback.waited = {"import": imported - began, "data and model": built - imported}
        outcome = train_loop(e, run, callback, resume is not None)
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
