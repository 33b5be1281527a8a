"""An ensemble on disk: a folder of run directories, with what they have in common on top."""

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
    """Names the files of an ensemble and guards what may be written where."""

    path: Path

    @property
    def file(self) -> Path:
        """Members, their last metrics, means and standard errors, as JSON."""
        return self.path / ENSEMBLE_FILE

    @property
    def table(self) -> Path:
        """The same as a Markdown table."""
        return self.path / "table.md"

    @property
    def curves(self) -> Path:
        """The metrics by epoch, a picture."""
        return self.path / "curves.png"

    @classmethod
    def fresh(cls, config: RunConfig) -> EnsembleDirectory:
        """Make ``runs/<recipe>-<relaxation>-<dataset>-<time>``; it is ours alone.

        Raises:
            CheckpointError: if it cannot be made.
        """
        return cls(RunDirectory.fresh(config).path)

    def member(self, name: str) -> RunDirectory:
        """The run directory of a member, which may not be there yet."""
        return RunDirectory(self.path / name)

    def check_free(self, overwrite: bool) -> None:
        """Refuse a path that cannot become this ensemble, without touching anything.

        Raises:
            ConfigurationError: if it exists and is not to be overwritten, or is something else.
            CheckpointError: if it cannot be written.
        """
        check_place(self.path)
        if self.path.is_dir() and any(self.path.iterdir()):
            if self._members() is None:
                raise ConfigurationError(
                    f"{self.path} exists and is not the folder of an ensemble; choose another --out"
                )
            if not overwrite:
                raise ConfigurationError(f"{self.path} exists: --overwrite replaces it")

    def create(self, overwrite: bool) -> None:
        """Make the folder, without the files of a former ensemble; what else lies there stays.

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
        """Names of the members that were written here; None if this is no ensemble."""
        try:
            saved = json.loads(self.file.read_text(encoding="utf-8"))
            names = [str(member["name"]) for member in saved["members"]]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        # A file may say anything: nothing outside this folder is a member.
        return [name for name in names if Path(name).name == name != ".."]
