"""The directory of an ensemble: the run directories of its members, and their summary."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relaxit.environment import versions
from relaxit.errors import CheckpointError, ConfigurationError
from relaxit.files import write_atomically
from relaxit.training.config import RunConfig
from relaxit.training.runs import RunDirectory
from relaxit.training.runs.directory import ENSEMBLE_FILE, check_place

__all__ = ["EnsembleDirectory"]

_FORMAT = 1


@dataclass(frozen=True)
class EnsembleDirectory:
    """Paths of the files of an ensemble, with checks before anything is overwritten."""

    path: Path

    @property
    def file(self) -> Path:
        """JSON file of the members, their last metrics, means and standard errors."""
        return self.path / ENSEMBLE_FILE

    @property
    def table(self) -> Path:
        """Markdown file with a table of the same."""
        return self.path / "table.md"

    @property
    def curves(self) -> Path:
        """Figure of the metrics by epoch."""
        return self.path / "curves.png"

    @classmethod
    def fresh(cls, config: RunConfig) -> EnsembleDirectory:
        """Create a new directory ``runs/<recipe>-<relaxation>-<dataset>-<time>``.

        No other process gets the same directory.

        Raises:
            CheckpointError: if it cannot be created.
        """
        return cls(RunDirectory.fresh(config).path)

    def member(self, name: str) -> RunDirectory:
        """Return the run directory of a member, which need not exist yet."""
        return RunDirectory(self.path / name)

    def check_free(self, overwrite: bool) -> None:
        """Check that the ensemble may be written to this path, without changing anything.

        Raises:
            ConfigurationError: if an ensemble exists and ``overwrite`` is false, or the path is
                not the directory of an ensemble.
            CheckpointError: if it cannot be written.
        """
        check_place(self.path)
        if self.path.is_dir() and any(self.path.iterdir()):
            if self._members() is None:
                raise ConfigurationError(
                    f"{self.path} exists and is not an ensemble directory; choose another --out"
                )
            if not overwrite:
                raise ConfigurationError(f"{self.path} exists: --overwrite replaces it")

    def create(self, overwrite: bool) -> None:
        """Create the directory; files of a former ensemble are removed, other files are kept.

        Raises:
            ConfigurationError, CheckpointError: as :meth:`check_free`.
        """
        self.check_free(overwrite)
        try:
            for name in self._members() or ():
                self._empty(self.member(name))
            for file in (self.file, self.table, self.curves):
                file.unlink(missing_ok=True)
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CheckpointError(f"{self.path} cannot be emptied: {error.strerror}") from error

    def _empty(self, member: RunDirectory) -> None:
        if not member.is_run():
            return
        member.create(overwrite=True)
        if not any(member.path.iterdir()):
            member.path.rmdir()

    def write(self, summary: Mapping[str, Any]) -> None:
        """Write ``ensemble.json``."""
        saved = {"format": _FORMAT, **summary, "versions": versions()}
        write_atomically(self.file, json.dumps(saved, indent=2) + "\n")

    def write_table(self, text: str) -> None:
        """Write ``table.md``."""
        write_atomically(self.table, text)

    def _members(self) -> Sequence[str] | None:
        """Return the names of the members that were written here; None if there is no ensemble."""
        try:
            saved = json.loads(self.file.read_text(encoding="utf-8"))
            names = [str(member["name"]) for member in saved["members"]]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        # The file is not trusted: nothing outside this directory is a member.
        return [name for name in names if Path(name).name == name != ".."]
