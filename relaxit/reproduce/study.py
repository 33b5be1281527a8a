"""A study as data: the cells of a table, how each is trained, and the values it should reach.

A study is a TOML file. ``[recipe]`` is the configuration that all cells share, ``[columns]`` says
which metric of a run is shown in which column, and every ``[[cells]]`` has its place in the table
(``size`` and ``estimator``), its changes to the recipe, and its targets by epoch. This module does
not import torch.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import Field, JsonValue, ValidationError, model_validator

from relaxit.errors import ConfigurationError, UnknownName, one_line
from relaxit.options import Options
from relaxit.training import RunConfig, merge, resolve
from relaxit.validation import validation_summary

__all__ = ["Cell", "Column", "Study", "Target", "TargetError", "find_study", "studies"]

_DIRECTORY = Path(__file__).parent / "studies"


class Column(Options):
    """A compared quantity."""

    metric: str = Field(description="name among the metrics of a run, such as train_elbo_discrete")
    sign: int = Field(1, description="-1 where the published value has the other sign")


class TargetError(Options):
    """Rule for the standard error of targets that do not state their own.

    It is the error of a mean over as many seeds as the targets have, with the spread of our seeds,
    clipped to the range of the published errors.
    """

    least: float = Field(ge=0, description="lower end of that range")
    most: float = Field(ge=0, description="upper end of that range")
    seeds: int = Field(ge=1, description="number of seeds of which a target is the mean")


class Target(Options):
    """The values that a cell should reach after an epoch, for some or all columns."""

    epoch: int = Field(ge=1, description="number of finished epochs")
    values: dict[str, float] = Field(min_length=1, description="values by column")
    error: float | None = Field(None, ge=0, description="standard error, if it is known")


class Cell(Options):
    """One line of the table."""

    size: str = Field(min_length=1, description="the size or variant of the problem")
    estimator: str = Field(min_length=1, description="name of the method in the study")
    recipe: dict[str, JsonValue] = Field({}, description="changes to the recipe of the study")
    targets: tuple[Target, ...] = Field(min_length=1, description="ordered by epoch")

    @property
    def label(self) -> str:
        return f"{self.size} {self.estimator}"


class Study(Options):
    """A stored study.

    Example:
        >>> study = find_study("polynomial")
        >>> study.select(sizes=["p=2"], estimators=["straight-through"])[0].label
        'p=2 straight-through'
    """

    name: str = Field("", description="name of its file")
    summary: str = Field(description="one line for listings")
    source: str = Field(description="where the targets come from")
    note: str = Field("", description="remark below the table that is needed to read it")
    seeds: int = Field(10, ge=1, description="number of seeds per cell: 0, 1, ...")
    tolerance: float = Field(2.0, gt=0, description="largest |z| that counts as agreement")
    decimals: int = Field(2, ge=0, description="decimals in the table")
    columns: dict[str, Column] = Field(min_length=1, description="compared quantities by name")
    error: TargetError | None = Field(
        None, description="error of targets that do not state their own"
    )
    recipe: dict[str, JsonValue] = Field(description="configuration that all cells share")
    cells: tuple[Cell, ...] = Field(min_length=1, description="lines of the table")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for cell in self.cells:
            for target in cell.targets:
                if not target.values.keys() <= self.columns.keys():
                    raise ValueError(f"{cell.label}: a target names a column that does not exist")
                if target.error is None and self.error is None:
                    raise ValueError(
                        f"{cell.label}: a target has no error, and the study has no rule for it"
                    )
        return self

    def config(self, cell: Cell, over: Mapping[str, Any] = {}) -> RunConfig:
        """Return the configuration of a cell.

        Args:
            cell: one of :attr:`cells`.
            over: keys that replace others: epochs, device, directory of the data.

        Raises:
            ConfigurationError: naming the key that is wrong.
        """
        layers = merge(merge(self.recipe, cell.recipe), over)
        return resolve([{"recipe": self.name, **layers}])

    def select(self, sizes: Sequence[str] = (), estimators: Sequence[str] = ()) -> list[Cell]:
        """Return the cells of these sizes and estimators, in the order of the table.

        Without sizes or estimators, all of them are meant.

        Raises:
            UnknownName: with similar names.
            ConfigurationError: if no cell has both.
        """
        for kind, requested in (("size", sizes), ("estimator", estimators)):
            known = {str(getattr(cell, kind)) for cell in self.cells}
            for name in requested:
                if name not in known:
                    raise UnknownName(f"{kind} of study {self.name!r}:", name, known)
        cells = [
            cell
            for cell in self.cells
            if (not sizes or cell.size in sizes)
            and (not estimators or cell.estimator in estimators)
        ]
        if not cells:
            raise ConfigurationError(
                f"study {self.name!r} has no cell of size {', '.join(sizes)} by "
                f"{', '.join(estimators)}"
            )
        return cells


def studies() -> dict[str, Path]:
    """Return the files of the stored studies by name.

    Example:
        >>> sorted(studies())
        ['estimators-mnist', 'polynomial']
    """
    return {path.stem: path for path in sorted(_DIRECTORY.glob("*.toml"))}


def find_study(name: str) -> Study:
    """Return a stored study by name, or the one in a file whose name ends in .toml.

    Raises:
        UnknownName: with the known and the similar names.
        ConfigurationError: if the file cannot be read or is not a valid study.
    """
    if name.endswith(".toml"):
        return read_study(Path(name))
    known = studies()
    if name not in known:
        raise UnknownName("study", name, known, "A study file ends in .toml.")
    return read_study(known[name])


def read_study(path: Path) -> Study:
    """Return the study in a file.

    Raises:
        ConfigurationError: if the file cannot be read or is not a valid study.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return Study.model_validate_json(json.dumps({"name": path.stem, **table}))
    except FileNotFoundError as error:
        raise ConfigurationError(f"study file {path} does not exist") from error
    except OSError as error:
        raise ConfigurationError(f"study {path}: {error.strerror}") from error
    except ValidationError as error:
        raise ConfigurationError(f"study {path}: {validation_summary(error)}") from error
    except (ValueError, TypeError) as error:  # not TOML, or a date, which JSON does not have
        raise ConfigurationError(f"study {path}: {one_line(error)}") from error
