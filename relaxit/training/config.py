"""The configuration of a training run: its settings, and how its layers are merged.

Layers, where later ones override earlier ones: defaults of the task, recipe, environment, flags. A
recipe may hold ``[when.DATASET]`` tables, which apply when that data set is chosen. The merged
result is validated once, here, saved with the run, and can be passed again as a recipe file. It is
data only: names refer to registered plugins, and nothing is imported because a file names it.
This module does not import torch.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from pydantic import Field, JsonValue, PositiveFloat, ValidationError

from relaxit.errors import ConfigurationError
from relaxit.hooks import OWN_DISTRIBUTION
from relaxit.options import Options
from relaxit.training.earlier_versions import upgrade
from relaxit.training.schedules import Kind
from relaxit.validation import problems_of

__all__ = [
    "FIT",
    "TASK",
    "RunConfig",
    "combine",
    "is_default_task",
    "merge",
    "resolve",
    "validated",
]

TASK = "vae"
"""The default task: when the first runs were saved, there was no other."""


FIT = "fit"
"""Name of the task in runs of :func:`relaxit.fit`, which no plugin provides."""


class PluginChoice(Options):
    """A registered name with its options."""

    name: str = Field(min_length=1, description="registered name")
    options: dict[str, JsonValue] = Field({}, description="options listed by `relaxit show NAME`")


class TemperatureConfig(Options):
    """Temperature of the relaxation over the run."""

    schedule: Kind = Field("constant", description="temperature as a function of the step")
    initial: PositiveFloat = Field(1.0, le=1e30, description="temperature at step 0")
    final: PositiveFloat = Field(
        0.5, le=1e30, description="lower limit (exponential) or last value (linear, cosine)"
    )
    rate: float | None = Field(None, ge=0, description="decay per step of the exponential schedule")


class VariableConfig(Options):
    """A further set of discrete variables of a model, beside the first, see :class:`RunConfig`."""

    relaxation: PluginChoice
    estimator: PluginChoice = PluginChoice(name="pathwise")
    latents: int = Field(1, ge=1, description="number of latent variables")
    temperature: TemperatureConfig = TemperatureConfig()


class DataConfig(Options):
    """The examples, and how they are read."""

    name: str = Field("digits", description="registered data set")
    options: dict[str, JsonValue] = Field({}, description="options listed by `relaxit show NAME`")
    dir: str | None = Field(None, description="directory of the files, for sets that read files")
    validation: int = Field(0, ge=0, description="training examples held out for validation")


class OptimizerConfig(Options):
    """Adam or RAdam, with decoupled weight decay."""

    method: Literal["adam", "radam"] = Field(
        "adam", description="Adam, or RAdam, whose first steps are rectified (arXiv:1908.03265)"
    )
    lr: PositiveFloat = Field(1e-3, description="peak learning rate")
    schedule: Literal["constant", "cosine"] = Field(
        "constant", description="rate after the warm-up"
    )
    warmup: float = Field(0.0, ge=0, le=1, description="fraction of the run with a rising rate")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay")


class RunConfig(Options):
    """Everything that determines a training run."""

    recipe: str = Field("", description="recipe that the settings are based on")
    task: PluginChoice = PluginChoice(name=TASK)
    relaxation: PluginChoice
    estimator: PluginChoice = PluginChoice(name="pathwise")
    latents: int = Field(1, ge=1, description="number of latent variables")
    temperature: TemperatureConfig = TemperatureConfig()
    variables: dict[str, VariableConfig] = Field(
        {}, description="further variables of the model, by the names that the task gives them"
    )
    data: DataConfig = DataConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    epochs: int = Field(10, ge=1, description="passes over the training examples")
    batch_size: int = Field(100, ge=1, description="examples per step")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of weights, data order and noise")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:N or mps")
    engine: Literal["auto", "eager", "compile", "graph"] = Field(
        "auto", description="what executes a step: eager PyTorch, torch.compile or a CUDA graph"
    )
    precision: Literal["float32", "tf32", "bfloat16"] = Field(
        "float32", description="arithmetic of the matrix multiplications in training"
    )


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge ``over`` into a copy of ``base``, table by table; ``over`` takes precedence.

    Where ``over`` names another plugin than ``base``, the options of the old one are dropped.
    The qualified name ``relaxit-framework:name`` of a built-in is the same plugin as ``name``.

    Example:
        >>> merge({"a": {"name": "x", "options": {"k": 1}}}, {"a": {"name": "y"}})
        {'a': {'name': 'y', 'options': {}}}
    """
    result = dict(base)
    for key, value in over.items():
        old = base.get(key)
        if not isinstance(value, Mapping) or not isinstance(old, Mapping):
            result[key] = value
            continue
        if "options" in old and _own(value.get("name", old.get("name"))) != _own(old.get("name")):
            old = {**old, "options": {}}
        result[key] = {**old, **value} if key == "options" else merge(old, value)
    return result


def is_default_task(table: Mapping[str, Any]) -> bool:
    """Whether settings name the default task, by any of its names, or no task at all.

    Example:
        >>> is_default_task({}), is_default_task({"task": {"name": "relaxit-framework:vae"}})
        (True, True)
    """
    task = table.get("task", {})
    return not isinstance(task, Mapping) or _own(task.get("name", TASK)) == TASK


def _own(name: object) -> object:
    return name.removeprefix(f"{OWN_DISTRIBUTION}:") if isinstance(name, str) else name


def combine(layers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge all layers, each followed by its ``[when]`` table for the chosen data set.

    Settings of earlier versions get the names of this one, see :func:`relaxit.training.upgrade`.
    """
    dataset = "digits"
    for layer in layers:
        table = layer.get("data", {})
        name = table.get("name") if isinstance(table, Mapping) else None
        dataset = name if isinstance(name, str) else dataset
    merged: dict[str, Any] = {}
    for layer in map(upgrade, layers):
        when = layer.get("when", {})
        special = when.get(dataset, {}) if isinstance(when, Mapping) else when
        if not isinstance(special, Mapping):
            raise ConfigurationError(f"when.{dataset} in a recipe must be a table, got {special!r}")
        general = {key: value for key, value in layer.items() if key not in ("when", "summary")}
        merged = merge(merge(merged, general), special)
    return merged


def with_defaults_of_task(layers: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the layers above the defaults of the task that they name.

    Raises:
        UnknownName: if no such task is registered.
    """
    from relaxit.plugins import default_registry

    task = combine(layers).get("task")
    name = task.get("name", TASK) if isinstance(task, Mapping) else TASK
    if not isinstance(name, str):
        return [*layers]  # validation says so
    registry = default_registry()
    defaults: Mapping[str, Any] = registry.find("task", name).defaults
    return [{**defaults, "task": {"name": registry.registered("task", name)}}, *layers]


def resolve(layers: Sequence[Mapping[str, Any]], flags: Mapping[str, str] = {}) -> RunConfig:
    """Merge the layers, above the defaults of their task, and return the validated configuration.

    Args:
        layers: tables of settings; later ones override earlier ones.
        flags: command-line flag of each dotted key, for error messages.

    Raises:
        ConfigurationError: naming the key, its flag and the value, and for an unknown key a
            similar one.
        UnknownName: if the task is not registered.
    """
    return validated(combine(with_defaults_of_task(layers)), flags)


def validated(table: Mapping[str, Any], flags: Mapping[str, str] = {}) -> RunConfig:
    """Return the configuration in a merged table.

    Raises:
        ConfigurationError: as :func:`resolve`.
    """
    try:
        return RunConfig.model_validate_json(json.dumps(table))
    except ValidationError as error:
        raise ConfigurationError(_explain(error, flags)) from error
    except TypeError as error:  # TOML and YAML have dates, JSON does not
        raise ConfigurationError(
            f"a recipe may hold strings, numbers, lists and tables only: {error}"
        ) from error


def _explain(error: ValidationError, flags: Mapping[str, str]) -> str:
    parts = []
    for path, kind, text, place in problems_of(error):
        if kind == "extra_forbidden":
            near = difflib.get_close_matches(str(place[-1]), _keys(place), n=1)
            parts.append(f"{path}: unknown key" + (f"; did you mean {near[0]!r}?" if near else ""))
            continue
        flag = f" ({flags[path]})" if path in flags else ""
        if kind.startswith(("float_", "int_")) and text.endswith("'"):
            text += " (a string; in YAML write 1.0e-3, not 1e-3)"
        parts.append(f"{path}{flag} {text}")
    return "; ".join(parts)


def _keys(loc: tuple[int | str, ...]) -> list[str]:
    """Return the known names in the table of an unknown key."""
    model: Any = RunConfig
    for key in loc[:-1]:
        fields = getattr(model, "model_fields", None)  # a dict of models by name has none
        model = fields[str(key)].annotation if fields else get_args(model)[-1]
    return list(getattr(model, "model_fields", ()))
