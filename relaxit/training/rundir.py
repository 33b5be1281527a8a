"""A run on disk: configuration, metrics, weights, pictures. Each file whole at any moment."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from relaxit.config import RunConfig
from relaxit.environment import versions
from relaxit.errors import CheckpointError, ConfigurationError, PluginError, one_line
from relaxit.files import write_text
from relaxit.registry import default

__all__ = ["RunDirectory"]

_FORMAT = 1


@dataclass(frozen=True)
class RunDirectory:
    """Names the files of a run and guards what may be written where."""

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
    def fresh_name(cls, config: RunConfig) -> Path:
        """``runs/<recipe>-<relaxation>-<dataset>-<time>``, not there yet."""
        words = (config.recipe, config.relaxation.name, config.data.name)
        stem = "-".join(word.replace(":", "-").replace(os.sep, "-") for word in words if word)
        base = Path("runs") / f"{stem}-{datetime.now():%Y%m%d-%H%M%S}"
        candidates = (
            base.with_name(f"{base.name}{suffix}")
            for suffix in ("", *map("-{}".format, range(2, 1000)))
        )
        return next(path for path in candidates if not path.exists())

    def check_free(self, overwrite: bool) -> None:
        """Refuse a path that cannot become this run, without touching anything.

        Raises:
            ConfigurationError: if it exists and is not to be overwritten, or is something else.
            CheckpointError: if it cannot be written.
        """
        if self.path.exists() and not self.path.is_dir():
            raise ConfigurationError(
                f"{self.path} exists and is not a folder; choose another --out"
            )
        if self.path.is_dir() and any(self.path.iterdir()):
            if not self.config_file.is_file():
                raise ConfigurationError(
                    f"{self.path} exists and is not a run directory; choose another --out"
                )
            if not overwrite:
                raise ConfigurationError(
                    f"{self.path} exists: --overwrite replaces it, "
                    f"--resume {self.path} continues it"
                )
        parent = next(p for p in (self.path, *self.path.absolute().parents) if p.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK):
            raise CheckpointError(
                f"{self.path} cannot be written: {parent} is not a writable folder"
            )

    def create(self, config: RunConfig) -> None:
        """Make the folder, empty of any former run, and write the configuration."""
        try:
            if self.config_file.is_file():
                shutil.rmtree(self.path)
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CheckpointError(f"{self.path} cannot be written: {error.strerror}") from error
        self.write_config(config)

    def write_config(self, config: RunConfig) -> None:
        """Write ``config.json``: the whole configuration, versions, and every plugin's version."""
        plugins = [
            {
                "name": plugin.name,
                "distribution": plugin.distribution,
                "version": plugin.version,
                "state": plugin.state,
                "provides": plugin.provides,
            }
            for plugin in default().plugins
        ]
        saved = {
            "format": _FORMAT,
            "config": config.model_dump(mode="json"),
            "versions": versions(),
            "plugins": plugins,
        }
        write_text(self.config_file, json.dumps(saved, indent=2) + "\n")

    def read_config(self) -> RunConfig:
        """The configuration of a finished or interrupted run.

        Raises:
            CheckpointError: if this is no run directory, or its configuration is damaged.
            PluginError: if it needs a plugin that is not installed, naming its distribution.
        """
        if not self.config_file.is_file():
            raise CheckpointError(f"{self.path} is not a run directory: it has no config.json")
        try:
            saved: Any = json.loads(self.config_file.read_text(encoding="utf-8"))
            if saved["format"] != _FORMAT:
                raise CheckpointError(
                    f"{self.config_file} has format {saved['format']}, this relaxit reads {_FORMAT}"
                )
            config = RunConfig.model_validate_json(json.dumps(saved["config"]))
        except ValidationError as error:
            raise CheckpointError(f"{self.config_file} is damaged: {one_line(error)}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{self.config_file} is damaged: {error!r}") from error
        self._check_plugins(config, saved.get("plugins", []))
        return config

    def _check_plugins(self, config: RunConfig, recorded: Any) -> None:
        wanted = {
            "relaxation": config.relaxation.name,
            "estimator": config.estimator.name,
            "dataset": config.data.name,
        }
        for kind, name in wanted.items():
            bare = name.rpartition(":")[2]
            if name in default().items(kind) or bare in default().items(kind):
                continue
            source = next(
                (p for p in recorded if bare in p.get("provides", {}).get(kind, ())),
                {"distribution": "an unknown package", "version": ""},
            )
            label = f"{source['distribution']} {source['version']}".strip()
            raise PluginError(
                f"{self.path} needs {kind} {name!r}, which came from {label}: install that plugin"
            )

    def append_metrics(self, row: dict[str, float | int]) -> None:
        """Add one epoch, a JSON object on a line of its own."""
        try:
            with open(self.metrics_file, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise CheckpointError(f"cannot write {self.metrics_file}: {error.strerror}") from error

    def read_metrics(self) -> list[dict[str, float]]:
        """All epochs so far."""
        if not self.metrics_file.is_file():
            return []
        lines = self.metrics_file.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.strip()]

    def keep_metrics(self, epoch: int) -> list[dict[str, float]]:
        """Drop rows past ``epoch``, which a continued run writes again."""
        rows = [
            row for row in self.read_metrics() if row["epoch"] <= epoch and "partial" not in row
        ]
        write_text(self.metrics_file, "".join(json.dumps(row) + "\n" for row in rows))
        return rows
