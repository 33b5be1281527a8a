"""The directory of a run: configuration, metrics, weights and figures, written atomically."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from relaxit.data import ColumnFormat, Format
from relaxit.environment import versions
from relaxit.errors import CheckpointError, ConfigurationError
from relaxit.files import write_atomically
from relaxit.plugins import default_registry
from relaxit.training.config import FIT, RunConfig
from relaxit.training.recipe_files import read_saved
from relaxit.training.runs import provenance
from relaxit.validation import validation_summary

__all__ = ["ENSEMBLE_FILE", "RunDirectory", "check_place"]

ENSEMBLE_FILE = "ensemble.json"
"""The file that marks the directory of an ensemble, whose subdirectories are runs."""
_FORMAT = 2
_READABLE = (1, 2)
_OWN_FILES = ("config.json", "metrics.jsonl", "model.safetensors", "train_state.pt")


@dataclass(frozen=True)
class RunDirectory:
    """Paths of the files of a run, with checks before anything is overwritten."""

    path: Path

    @property
    def config_file(self) -> Path:
        return self.path / "config.json"

    @property
    def metrics_file(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def model_file(self) -> Path:
        return self.path / "model.safetensors"

    @property
    def state_file(self) -> Path:
        return self.path / "train_state.pt"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @classmethod
    def fresh(cls, config: RunConfig) -> RunDirectory:
        """Create a new directory ``runs/<recipe>-<relaxation>-<dataset>-<time>``.

        No other process gets the same directory.

        Raises:
            CheckpointError: if it cannot be created.
        """
        words = (config.recipe, config.relaxation.name, config.data.name)
        stem = "-".join(re.sub(r"[^\w.-]", "-", word) for word in words if word)
        base = f"{stem}-{datetime.now():%Y%m%d-%H%M%S}"
        for number in itertools.count(1):
            path = Path("runs") / (base if number == 1 else f"{base}-{number}")
            # Another run may start in the same second: the one that creates the directory owns it.
            if _make(path):
                break
        return cls(path)

    def check_free(self, overwrite: bool) -> None:
        """Check that the run may be written to this path, without changing anything.

        Raises:
            ConfigurationError: if a run exists and ``overwrite`` is false, or the path is not a
                run directory.
            CheckpointError: if it cannot be written.
        """
        check_place(self.path)
        if self.path.is_dir() and any(self.path.iterdir()):
            if not self.is_run():
                raise ConfigurationError(
                    f"{self.path} exists and is not a run directory; choose another --out"
                )
            if not overwrite:
                raise ConfigurationError(
                    f"{self.path} exists: --overwrite replaces it, "
                    f"--resume {self.path} continues it"
                )

    def create(self, overwrite: bool) -> None:
        """Create the directory; files of a former run are removed, other files are kept.

        Raises:
            ConfigurationError, CheckpointError: as :meth:`check_free`.
        """
        if _make(self.path):
            return
        self.check_free(overwrite)  # again: it may have changed in the meantime
        try:
            for name in (*_OWN_FILES, *_images()):
                (self.path / name).unlink(missing_ok=True)
            if self.tensorboard.is_dir():
                shutil.rmtree(self.tensorboard)
        except OSError as error:
            raise CheckpointError(f"{self.path} cannot be emptied: {error.strerror}") from error

    def write_config(self, config: RunConfig, format: Format) -> None:
        """Write ``config.json``: the configuration, and the versions of packages and plugins.

        Args:
            config: the configuration, with all options of relaxation, estimator and task.
            format: format of the columns, so that the model can be built without the data set.
        """
        saved = {
            "format": _FORMAT,
            "config": config.model_dump(mode="json"),
            "columns": {name: asdict(column) for name, column in format.columns.items()},
            "versions": versions(),
            "plugins": provenance.record_plugins(),
        }
        write_atomically(self.config_file, json.dumps(saved, indent=2) + "\n")

    def is_run(self) -> bool:
        """Whether a run was written here, complete or not."""
        try:
            saved = json.loads(self.config_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return isinstance(saved, dict) and {"format", "config"} <= saved.keys()

    def data_format(self) -> Format:
        """Read the format of the examples that the run was trained on.

        Raises:
            CheckpointError: if the configuration lacks it or is damaged.
        """
        try:
            saved = json.loads(self.config_file.read_text(encoding="utf-8"))
            columns = saved["columns"] if saved["format"] > 1 else _former_columns(saved)
            return Format({name: _column(values) for name, values in columns.items()})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{self.config_file} is damaged: {error!r}") from error

    def read_config(self, own_module: bool = False) -> RunConfig:
        """Read the configuration of a finished or interrupted run.

        Args:
            own_module: whether it must be a run of :func:`relaxit.fit`, which has no plugins.

        Raises:
            CheckpointError: if this is not a run directory, or its configuration is damaged; or if
                it is a run of :func:`relaxit.fit` but should not be, or the other way round.
            PluginError: if a plugin is missing, naming its distribution or file.
        """
        config, plugins = self._read()
        if own_module != (config.task.name == FIT):
            raise CheckpointError(
                f"{self.path} was trained by a task: load it without a module"
                if own_module
                else f"{self.path} was trained by relaxit.fit: pass its module, "
                f"relaxit.load_run({str(self.path)!r}, model=...)"
            )
        if not own_module:
            provenance.require_plugins(config, plugins, self.path)
        return config

    def plugin_changes(self) -> list[str]:
        """Return a message for each plugin file whose content has changed since the run.

        Raises:
            CheckpointError, PluginError: as :meth:`read_config`.
        """
        config, plugins = self._read()
        provenance.require_plugins(config, plugins, self.path)
        return provenance.plugin_changes(config, plugins, self.path)

    def _read(self) -> tuple[RunConfig, list[dict[str, Any]]]:
        """Read the configuration and the records of the plugins that the run was trained with."""
        if not self.config_file.is_file():
            if (self.path / ENSEMBLE_FILE).is_file():
                first = min((p.parent for p in self.path.glob("*/config.json")), default="none yet")
                raise CheckpointError(f"{self.path} is an ensemble; pass one of its runs: {first}")
            raise CheckpointError(f"{self.path} is not a run directory: it has no config.json")
        try:
            saved: Any = json.loads(self.config_file.read_text(encoding="utf-8"))
            if saved["format"] not in _READABLE:
                raise CheckpointError(
                    f"{self.config_file} has format {saved['format']}; "
                    f"this version of relaxit reads formats up to {_FORMAT}"
                )
            config = RunConfig.model_validate_json(json.dumps(read_saved(saved)))
        except ValidationError as error:
            raise CheckpointError(
                f"{self.config_file} is damaged: {validation_summary(error)}"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{self.config_file} is damaged: {error!r}") from error
        plugins = saved.get("plugins", [])
        if not isinstance(plugins, list) or not all(isinstance(p, dict) for p in plugins):
            raise CheckpointError(
                f"{self.config_file} is damaged: plugins must be a list of tables"
            )
        return config, plugins

    def write_metrics(self, rows: Sequence[Mapping[str, float | int]]) -> None:
        """Write the metrics of all epochs so far, one JSON object per line."""
        write_atomically(self.metrics_file, "".join(json.dumps(row) + "\n" for row in rows))

    def read_metrics(self) -> list[dict[str, float]]:
        """Read the metrics of all complete epochs; that of an interrupted one is left out.

        Raises:
            CheckpointError: if the file is damaged.
        """
        if not self.metrics_file.is_file():
            return []
        try:
            lines = self.metrics_file.read_text(encoding="utf-8").splitlines()
            rows = [json.loads(line) for line in lines]
        except ValueError as error:
            raise CheckpointError(f"{self.metrics_file} is damaged: {error}") from error
        return [_renamed(row) for row in rows if "partial" not in row]


def _renamed(row: dict[str, float]) -> dict[str, float]:
    """Return a row with today's names of metrics."""
    return {"examples_per_second" if k == "images_per_second" else k: v for k, v in row.items()}


def _column(values: Mapping[str, Any]) -> ColumnFormat:
    return ColumnFormat(str(values["dtype"]), tuple(values["shape"]), int(values["classes"]))


def _former_columns(saved: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the columns of a run that was saved when all examples were images."""
    inputs = {"dtype": "float32", "shape": saved["image_size"], "classes": 0}
    targets = {"dtype": "int64", "shape": [], "classes": saved.get("classes", 0)}
    return {"inputs": inputs, "targets": targets}


def _images() -> set[str]:
    """Return the file names of the figures of all registered tasks."""
    return {name for task in default_registry().items("task").values() for name in task.files}


def check_place(path: Path) -> None:
    """Check that a directory may be written at a path, without changing anything.

    Raises:
        ConfigurationError: if the path exists and is not a directory.
        CheckpointError: if it cannot be written.
    """
    if path.exists() and not path.is_dir():
        raise ConfigurationError(f"{path} exists and is not a directory; choose another --out")
    parent = next(p for p in (path, *path.absolute().parents) if p.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise CheckpointError(f"{path} cannot be written: {parent} is not a writable directory")


def _make(path: Path) -> bool:
    """Create a directory; return False if it exists."""
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        return False
    except OSError as error:
        raise CheckpointError(f"{path} cannot be written: {error.strerror}") from error
    return True
