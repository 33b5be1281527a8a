"""The configuration of a training run: what it may hold, and how layers of it merge.

Layers, later over earlier: zoo recipe, recipe file, environment, flags. A recipe may hold
``[when.DATASET]`` tables, which apply when that data set is chosen. The merged result is validated
once, here, saved with the run, and can be fed back as a recipe file. Data only: a name in it means
a registered plugin and nothing is imported because a file says so. This module loads no torch.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, JsonValue, PositiveFloat, PositiveInt, ValidationError

from relaxit.errors import ConfigurationError, one_line
from relaxit.hooks import OWN_DISTRIBUTION
from relaxit.options import Options
from relaxit.training.schedules import Kind

__all__ = ["RunConfig", "merge", "read_recipe", "resolve"]

_LARGEST_FILE = 1 << 20
TASK = "vae"
"""The task where none is named: there was no other when the first runs were saved."""


class PluginChoice(Options):
    """A registered name with its options."""

    name: str = Field(min_length=1, description="registered name")
    options: dict[str, JsonValue] = Field({}, description="options, as `relaxit show NAME` lists")


class TemperatureConfig(Options):
    """Temperature of the relaxation over the run."""

    schedule: Kind = Field("constant", description="how the temperature moves with the global step")
    initial: PositiveFloat = Field(1.0, le=1e30, description="temperature at step 0")
    final: PositiveFloat = Field(
        0.5, le=1e30, description="floor (exponential) or end (linear, cosine)"
    )
    rate: float | None = Field(None, ge=0, description="decay per step of the exponential schedule")


class ObjectiveConfig(Options):
    """The KL term, of tasks that have one; see the page on the two laws and their bounds."""

    kl: Literal["discrete", "relaxed"] = Field(
        "discrete", description="KL of the discrete laws, or log-ratio of the relaxed densities"
    )
    prior_temperature: PositiveFloat | None = Field(
        None, description="temperature of the relaxed prior; that of the posterior if absent"
    )
    kl_warmup: float = Field(
        0.0, ge=0, le=1, description="share of the run over which the KL weight rises to 1"
    )


class DataConfig(Options):
    """Which pictures, and how they are read."""

    name: str = Field("digits", description="registered data set")
    dir: str | None = Field(None, description="folder of the files, for sets that have any")
    binarise: Literal["none", "threshold", "dynamic"] = Field(
        "none", description="grey levels as they are, > 0.5, or drawn anew for each batch"
    )
    validation: int = Field(0, ge=0, description="training images held out to choose settings by")


class ModelConfig(Options):
    """The networks around the latent variables, multilayer perceptrons in an autoencoder."""

    hidden: tuple[PositiveInt, ...] = Field(
        (512, 256), description="hidden units of the encoder; mirrored"
    )
    params_activation: Literal["none", "relu"] = Field(
        "none", description="relu repeats a mistake of an old tutorial, to reproduce its figures"
    )
    init: Literal["torch", "scaled"] = Field(
        "scaled", description="torch's layer defaults, or weights and biases fitted to the data"
    )


class OptimizerConfig(Options):
    """Adam or RAdam, with decoupled weight decay."""

    method: Literal["adam", "radam"] = Field(
        "adam", description="Adam, or RAdam, whose first steps are rectified (arXiv:1908.03265)"
    )
    lr: PositiveFloat = Field(1e-3, description="peak learning rate")
    schedule: Literal["constant", "cosine"] = Field("constant", description="after the warm-up")
    warmup: float = Field(0.0, ge=0, le=1, description="share of the run with a rising rate")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay")


class RunConfig(Options):
    """Everything that determines a training run."""

    recipe: str = Field("", description="where the settings began")
    task: PluginChoice = PluginChoice(name=TASK)
    relaxation: PluginChoice
    estimator: PluginChoice = PluginChoice(name="pathwise")
    latents: int = Field(ge=1, description="number of latent variables")
    temperature: TemperatureConfig = TemperatureConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    epochs: int = Field(ge=1, description="passes over the training images")
    batch_size: int = Field(100, ge=1, description="images a step")
    seed: int = Field(0, ge=0, lt=2**63, description="of weights, order and noise")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:N or mps")
    engine: Literal["auto", "eager", "compile", "graph"] = Field(
        "auto", description="what executes a step: operations in turn, torch.compile, a CUDA graph"
    )
    precision: Literal["float32", "tf32", "bfloat16"] = Field(
        "float32", description="arithmetic of the matrix products in training"
    )


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` laid over ``base``, table by table.

    Where ``over`` names another plugin than ``base``, the options of the old one are dropped;
    our own ``relaxit-framework:name`` is no other one than ``name``.

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


def _lay(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """:func:`merge` of whole configurations: settings of a KL term go with the task they were for.

    Naming another task drops ``objective`` as it drops the task's options, so that a task without
    a KL term need not undo what the recipe below it says.
    """
    named = _task(over)
    if named is not None and _own(named) != _own(_task(base) or TASK):
        base = {key: value for key, value in base.items() if key != "objective"}
    return merge(base, over)


def _task(layer: Mapping[str, Any]) -> object:
    table = layer.get("task")
    return table.get("name") if isinstance(table, Mapping) else None


def _own(name: object) -> object:
    return name.removeprefix(f"{OWN_DISTRIBUTION}:") if isinstance(name, str) else name


def combine(layers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """All layers merged, each followed by its table for the chosen data set."""
    dataset = "digits"
    for layer in layers:
        table = layer.get("data", {})
        name = table.get("name") if isinstance(table, Mapping) else None
        dataset = name if isinstance(name, str) else dataset
    merged: dict[str, Any] = {}
    for layer in layers:
        when = layer.get("when", {})
        special = when.get(dataset, {}) if isinstance(when, Mapping) else when
        if not isinstance(special, Mapping):
            raise ConfigurationError(f"when.{dataset} in a recipe must be a table, got {special!r}")
        own = {key: value for key, value in layer.items() if key not in ("when", "summary")}
        merged = _lay(_lay(merged, own), special)
    return merged


def resolve(layers: Sequence[Mapping[str, Any]], flags: Mapping[str, str] = {}) -> RunConfig:
    """The validated configuration of the merged layers.

    Args:
        layers: tables, later ones over earlier ones.
        flags: command-line flag of each dotted key, named in messages.

    Raises:
        ConfigurationError: naming the key, its flag, the value, and a near key if it is unknown.
    """
    try:
        return RunConfig.model_validate_json(json.dumps(combine(layers)))
    except ValidationError as error:
        raise ConfigurationError(_explain(error, flags)) from error
    except TypeError as error:  # TOML and YAML know dates, JSON does not
        raise ConfigurationError(f"a recipe holds texts, numbers and tables: {error}") from error


def _explain(error: ValidationError, flags: Mapping[str, str]) -> str:
    parts = []
    for item in error.errors(include_url=False):
        path = ".".join(str(key) for key in item["loc"])
        flag = f" ({flags[path]})" if path in flags else ""
        message, got = item["msg"], f", got {item['input']!r}"
        if item["type"] == "missing":
            got = ""
        if item["type"] == "extra_forbidden":
            near = difflib.get_close_matches(path.rsplit(".", 1)[-1], _keys(item["loc"]), n=1)
            message, got = "unknown key", f"; did you mean {near[0]!r}?" if near else ""
        if isinstance(item["input"], str) and item["type"].startswith(("float", "int")):
            got += " (a text; in YAML write 1.0e-3, not 1e-3)"
        parts.append(f"{path}{flag}: {message}{got}")
    return "; ".join(parts)


def _keys(loc: tuple[int | str, ...]) -> list[str]:
    """Names that are known where an unknown key stands."""
    model: Any = RunConfig
    for key in loc[:-1]:
        model = model.model_fields[str(key)].annotation
    return list(getattr(model, "model_fields", ()))


def read_recipe(path: Path) -> dict[str, Any]:
    """A recipe file: TOML, YAML or JSON, or the ``config.json`` of a run.

    Raises:
        ConfigurationError: if it cannot be read, is larger than 1 MiB, or holds anything but data.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ConfigurationError(f"{path}: a recipe of more than 1 MiB is refused")
        table = _parse(path.suffix.lower(), path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"recipe {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(f"recipe {path}: {one_line(error)}") from error
    if not isinstance(table, dict) or not all(isinstance(key, str) for key in table):
        raise ConfigurationError(f"recipe {path}: expected a table of settings")
    saved = table.get("config")
    return saved if isinstance(saved, dict) else table


def _parse(suffix: str, text: str) -> Any:
    if suffix == ".toml":
        return tomllib.loads(text)
    if suffix == ".json":
        return json.loads(text)
    if suffix in (".yaml", ".yml"):
        return _parse_yaml(text)
    raise ConfigurationError(f"a recipe file ends in .toml, .yaml or .json, not {suffix!r}")


def _parse_yaml(text: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            # Aliases of aliases make a small file enormous.
            if self.check_event(yaml.AliasEvent):
                raise ValueError("YAML aliases are not allowed in a recipe")
            return super().compose_node(parent, index)

    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
