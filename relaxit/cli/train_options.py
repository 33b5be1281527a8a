"""The options of ``relaxit train``, declared once: flag, environment variable, help and key.

From this table come the signature of the command, the names of the environment variables, the flags
in error messages, and which options can be combined with ``--resume``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from relaxit.cli.plugin_option import PluginFiles
from relaxit.training import KEYS

__all__ = ["FLAGS", "OPTIONS", "OPTION_FLAGS", "Option", "declare_options"]


class Option(NamedTuple):
    """One option of the command.

    Attributes:
        flag: its long name, from which the names of parameter and environment variable follow.
        help: one sentence.
        type: type of the value; a list if it may be repeated.
        short: its short name, if it has one.
        env: whether it can be set by an environment variable.
        resumable: whether it can be combined with ``--resume``.
    """

    flag: str
    help: str
    type: Any = str
    short: str = ""
    env: bool = True
    resumable: bool = False

    @property
    def parameter(self) -> str:
        return self.flag.strip("-").replace("-", "_")

    @property
    def key(self) -> str:
        """Dotted key of the configuration that it sets; empty if the command itself reads it."""
        return KEYS.get(self.parameter, "")

    @property
    def shown(self) -> str:
        """The name for messages, the shorter one."""
        return self.short or self.flag


_CHOICES = (
    Option("--recipe", "Zoo recipe, or a TOML, YAML or JSON file; flags take precedence."),
    Option("--relaxation", "Name of a registered relaxation."),
    Option(
        "--option",
        "Option KEY=VALUE of the relaxation; may be repeated.",
        list[str],
        short="-o",
        env=False,
    ),
    Option("--estimator", "Name of a registered gradient estimator."),
    Option(
        "--estimator-option",
        "Option KEY=VALUE of the estimator; may be repeated.",
        list[str],
        short="-e",
        env=False,
    ),
    Option("--task", "Name of a registered task; a variational autoencoder if absent."),
    Option(
        "--task-option",
        "Option KEY=VALUE of the task; may be repeated.",
        list[str],
        short="-t",
        env=False,
    ),
    Option("--dataset", "Name of a registered data set."),
    Option(
        "--dataset-option",
        "Option KEY=VALUE of the data set; may be repeated.",
        list[str],
        short="-d",
        env=False,
    ),
    Option("--latents", "Number of latent variables.", int),
    Option(
        "--set",
        "Any key of a recipe, such as variables.NAME.temperature.initial=0.5; may be repeated.",
        list[str],
        env=False,
    ),
)
_TEMPERATURE = (
    Option("--temperature", "Constant temperature; with --schedule, the initial one.", float),
    Option("--schedule", "Temperature schedule: constant, exponential, linear, cosine or learned."),
    Option(
        "--final-temperature",
        "Final temperature of the schedule; the lower limit of an exponential one.",
        float,
    ),
    Option("--temperature-rate", "Decay rate per step of the exponential schedule.", float),
)
_SHORTHANDS = (
    Option("--kl", "Same as -t kl=...: KL term, discrete or relaxed."),
    Option(
        "--prior-temperature",
        "Same as -t prior_temperature=...: temperature of the prior, with --kl relaxed.",
        float,
    ),
    Option(
        "--kl-warmup",
        "Same as -t kl_warmup=...: fraction of the run over which the KL weight rises.",
        float,
    ),
    Option("--binarise", "Same as -d binarise=...: none, threshold or dynamic."),
)
_DATA = (
    Option("--data-dir", "Directory of the data files.", resumable=True),
    Option("--download", "Download missing data files.", bool, resumable=True),
    Option("--validation", "Number of training examples held out for model selection.", int),
)
_OPTIMISATION = (
    Option("--epochs", "Number of passes over the training examples.", int, resumable=True),
    Option("--batch-size", "Examples per step.", int),
    Option("--optimizer", "Optimizer: adam or radam."),
    Option("--lr", "Peak learning rate.", float),
    Option("--lr-schedule", "Learning rate schedule: constant or cosine."),
    Option("--lr-warmup", "Fraction of the run over which the learning rate rises.", float),
    Option("--weight-decay", "Decoupled weight decay.", float),
    Option("--seed", "Seed of weights, data order and noise.", int),
    Option(
        "--ensemble",
        "Train several runs: seeds=N (from --seed on), seeds=A,B,... or temperatures=A,B,...; "
        "give both for every pair.",
        list[str],
        env=False,
    ),
)
_EXECUTION = (
    Option("--device", "Device: auto, cpu, cuda, cuda:N or mps.", resumable=True),
    Option(
        "--engine",
        "Engine that executes the steps: auto, eager, compile or graph (CUDA).",
        resumable=True,
    ),
    Option(
        "--precision", "Precision of the matmuls in training: float32, tf32 (CUDA) or bfloat16."
    ),
)
_OUTPUT = (
    Option("--out", "Run directory; a new one in runs/ if absent.", Path),
    Option("--overwrite", "Replace an existing run in --out.", bool, env=False),
    Option(
        "--resume",
        "Run directory to continue; --epochs may be changed.",
        Path,
        env=False,
        resumable=True,
    ),
    Option(
        "--dry-run", "Print the configuration without training.", bool, env=False, resumable=True
    ),
    Option("--json", "Print the result as JSON to stdout.", bool, env=False, resumable=True),
    Option("--quiet", "Suppress progress output.", bool, resumable=True),
)
_PANELS = {
    "What to train": _CHOICES,
    "Temperature": _TEMPERATURE,
    "Shorthands of the autoencoder and of sets of images": _SHORTHANDS,
    "Data": _DATA,
    "Optimisation": _OPTIMISATION,
    "Execution": _EXECUTION,
    "Run and output": _OUTPUT,
}
OPTIONS = [option for options in _PANELS.values() for option in options]
"""All options, in the order of the help."""

FLAGS = {option.key: option.flag for option in OPTIONS if option.key}
"""Flag by dotted key of the configuration."""

OPTION_FLAGS = {"relaxation": "-o", "estimator": "-e", "task": "-t", "dataset": "-d"}
"""Flags that take options, by the kind of what the options belong to."""


def declare_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command ``(context, **values)`` the signature that Typer reads.

    Flags that are not given have the value None, or False if they are switches.
    """
    declared: dict[str, tuple[Any, Any]] = {"context": (typer.Context, inspect.Parameter.empty)}
    for panel, options in _PANELS.items():
        for option in options:
            switch = option.type is bool
            kind = bool if switch else option.type | None
            declared[option.parameter] = (
                Annotated[kind, _typer_option(option, panel)],
                False if switch else None,
            )
        if options is _CHOICES:
            declared["plugin_files"] = (PluginFiles, None)
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=kind
            )
            for name, (kind, default) in declared.items()
        ]
    )
    command.__annotations__ = {name: kind for name, (kind, _) in declared.items()}
    return command


def _typer_option(option: Option, panel: str) -> Any:
    names: Sequence[str] = [name for name in (option.short, option.flag) if name]
    variable = f"RELAXIT_{option.parameter.upper()}" if option.env else None
    return typer.Option(
        *names, help=option.help, rich_help_panel=panel, envvar=variable, show_default=False
    )
