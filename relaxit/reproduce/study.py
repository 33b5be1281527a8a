"""A study as data: the cells of a table, how each is trained, and the values it must come to.

A study is a TOML file. ``[recipe]`` is the configuration all cells share, ``[metrics.NAME]`` says
which metric of a run stands in which column, and every ``[[cells]]`` has its place in the table
(``size`` and ``estimator``), what it changes in the recipe, and its targets by epoch. This module
loads no torch.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import Field, JsonValue, ValidationError, model_validator

from relaxit.errors import ConfigurationError, UnknownName, one_line, validation_summary
from relaxit.options import Options
from relaxit.training import RunConfig, merge, resolve

__all__ = ["Cell", "Column", "Study", "Target", "TargetError", "find_study", "studies"]

_FOLDER = Path(__file__).parent / "studies"


class Column(Options):
    """One of the compared quantities."""

    metric: str = Field(description="name in the metrics of a run, as train_elbo_discrete")
    sign: int = Field(1, description="-1 where the published value has the other sign")


class TargetError(Options):
    """The standard error of targets that do not tell their own.

    That of as many seeds as the targets are means of, with the spread of our seeds, kept in the
    range in which the published errors lie.
    """

    least: float = Field(ge=0, description="lower end of that range")
    most: float = Field(ge=0, description="upper end")
    seeds: int = Field(ge=1, description="seeds behind a target")


class Target(Options):
    """What a cell must come to after an epoch: a value for some or all columns."""

    epoch: int = Field(ge=1, description="epochs that have ended")
    values: dict[str, float] = Field(min_length=1, description="by column")
    error: float | None = Field(None, ge=0, description="its standard error, if it is known")


class Cell(Options):
    """One line of the table."""

    size: str = Field(min_length=1, description="the size or variant of the problem")
    estimator: str = Field(min_length=1, description="how the study calls the method")
    recipe: dict[str, JsonValue] = Field({}, description="laid over the recipe of the study")
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

    name: str = Field("", description="that of its file")
    summary: str = Field(description="one line for listings")
    source: str = Field(description="where the targets come from")
    note: str = Field("", description="what a reader of the table must know; stands below it")
    seeds: int = Field(10, ge=1, description="seeds of a cell: 0, 1, ...")
    tolerance: float = Field(2.0, gt=0, description="largest |z| that counts as agreement")
    decimals: int = Field(2, ge=0, description="of the table")
    columns: dict[str, Column] = Field(min_length=1, description="compared quantities by name")
    error: TargetError | None = Field(None, description="of targets that do not tell their own")
    recipe: dict[str, JsonValue] = Field(description="configuration that all cells share")
    cells: tuple[Cell, ...] = Field(min_length=1, description="lines of the table")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for cell in self.cells:
            for target in cell.targets:
                if not target.values.keys() <= self.columns.keys():
                    raise ValueError(f"{cell.label}: a target names a column that there is not")
                if target.error is None and self.error is None:
                    raise ValueError(f"{cell.label}: a target without error, and no rule for one")
        return self

    def config(self, cell: Cell, over: Mapping[str, Any] = {}) -> RunConfig:
        """The configuration of a cell.

        Args:
            cell: one of :attr:`cells`.
            over: laid over it: epochs, device, folder of the data.

        Raises:
            ConfigurationError: naming what is wrong in it.
        """
        layers = merge(merge(self.recipe, cell.recipe), over)
        return resolve([{"recipe": self.name, **layers}])

    def select(self, sizes: Sequence[str] = (), estimators: Sequence[str] = ()) -> list[Cell]:
        """The cells of these sizes and estimators, in the order of the table; all if none is named.

        Raises:
            UnknownName: with near names.
            ConfigurationError: if no cell has both.
        """
        for kind, asked in (("size", sizes), ("estimator", estimators)):
            known = {str(getattr(cell, kind)) for cell in self.cells}
            for name in asked:
                if name not in known:
                    raise UnknownName(f"{kind} of study {self.name!r}:", name, known)
        found = [
            cell
            for cell in self.cells
            if (not sizes or cell.size in sizes)
            and (not estimators or cell.estimator in estimators)
        ]
        if not found:
            raise ConfigurationError(
                f"study {self.name!r} has no cell of size {', '.join(sizes)} by "
                f"{', '.join(estimators)}"
            )
        return found


def studies() -> dict[str, Path]:
    """The stored studies by name.

    Example:
        >>> sorted(studies())
        ['estimators-mnist', 'polynomial']
    """
    return {path.stem: path for path in sorted(_FOLDER.glob("*.toml"))}


def find_study(name: str) -> Study:
    """A stored study by its name, or one in a file whose name ends in .toml.

    Raises:
        UnknownName: with the known and the near names.
        ConfigurationError: if the file cannot be read, or says something wrong.
    """
    if name.endswith(".toml"):
        return read_study(Path(name))
    known = studies()
    if name not in known:
        raise UnknownName("study", name, known, "A study file ends in .toml.")
    return read_study(known[name])


def read_study(path: Path) -> Study:
    """The study in a file.

    Raises:
        ConfigurationError: if the file cannot be read, or says something wrong.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return Study.model_validate_json(json.dumps({"name": path.stem, **table}))
    except OSError as error:
        raise ConfigurationError(f"study {path}: {error.strerror}") from error
    except ValidationError as error:
        raise ConfigurationError(f"study {path}: {validation_summary(error)}") from error
    except (ValueError, TypeError) as error:  # no TOML, or a date, which JSON does not know
        raise ConfigurationError(f"study {path}: {one_line(error)}") from error
