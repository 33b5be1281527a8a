"""``relaxit reproduce``: run a stored study and compare it with its targets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast, get_args

import typer

from relaxit.cli.options import Device, Json, names_in
from relaxit.cli.output import print_json, tell
from relaxit.cli.plugin_option import PluginFiles
from relaxit.cli.session import Session
from relaxit.cli.tables import print_notes, print_table
from relaxit.errors import ConfigurationError, ReproductionError

if TYPE_CHECKING:
    import torch

    from relaxit.reproduce import Cell, CellRun, Comparison, Study
    from relaxit.training import Row, RunConfig, StopRequest

__all__ = ["reproduce"]

_Mode = Literal["auto", "always", "never"]


def reproduce(
    name: Annotated[
        str | None, typer.Argument(help="Study, or a study file; lists all studies if absent.")
    ] = None,
    sizes: Annotated[
        str | None, typer.Option("--sizes", help="Only these sizes, separated by commas.")
    ] = None,
    estimators: Annotated[
        str | None,
        typer.Option("--estimators", help="Only these estimators, separated by commas."),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            "--seeds",
            min=1,
            help="Number N of seeds per cell, 0 to N - 1; that of the study if absent.",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option("--epochs", min=1, help="Epochs of each run; those of the study if absent."),
    ] = None,
    ensemble: Annotated[
        str,
        typer.Option(
            "--ensemble",
            help="Whether to train all seeds of a cell as one ensemble: auto, always or never.",
        ),
    ] = "auto",
    tolerance: Annotated[
        float | None,
        typer.Option(
            "--tolerance",
            help="Largest |z| that counts as agreement; that of the study if absent.",
        ),
    ] = None,
    device: Device = "auto",
    data_dir: Annotated[
        str | None, typer.Option("--data-dir", help="Directory of the data files.")
    ] = None,
    download: Annotated[
        bool, typer.Option("--download", help="Download missing data files.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="FILE.json or FILE.md to write; both in reproductions/ if absent."
        ),
    ] = None,
    list_studies: Annotated[bool, typer.Option("--list", help="List the studies.")] = False,
    plugin_files: PluginFiles = None,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Suppress progress output.")] = False,
) -> None:
    """Run a stored study, compare each cell with its targets, and write the table to a file.

    Exits with 6 if a cell is off by more than the tolerance or one of its seeds diverged, and with
    0 if nothing could be compared. Ctrl-C keeps the finished cells; without any, nothing is
    written.
    """
    from relaxit.reproduce import find_study

    del plugin_files  # loaded by the option itself
    if list_studies or name is None:
        _list(json)
        return
    study = find_study(name)
    cells = study.select(names_in(sizes), names_in(estimators))
    if ensemble not in get_args(_Mode):
        raise ConfigurationError(f"--ensemble must be auto, always or never, got {ensemble!r}")
    if tolerance is not None and not tolerance > 0:
        raise ConfigurationError(f"--tolerance must be greater than 0, got {tolerance}")
    _StudySession(
        device=device,
        json=json,
        quiet=quiet,
        files=_files(study.name, out),
        study=study,
        cells=cells,
        seeds=range(seeds or study.seeds),
        epochs=epochs,
        mode=cast(_Mode, ensemble),
        tolerance=tolerance,
        data_dir=data_dir,
        download=download,
    ).run()


@dataclass(kw_only=True)
class _StudySession(Session["tuple[Cell, CellRun]"]):
    """Runs the cells of a study in turn; also the callback for their progress."""

    makes_directories = True

    study: Study
    cells: Sequence[Cell]
    seeds: Sequence[int]
    epochs: int | None
    mode: _Mode
    tolerance: float | None
    data_dir: str | None
    download: bool
    configs: list[RunConfig] = field(default_factory=list, init=False)
    comparisons: list[Comparison] = field(default_factory=list, init=False)
    label: str = field(default="", init=False)
    total: int = field(default=0, init=False)
    stop: StopRequest = field(init=False)

    def run(self) -> None:
        from relaxit.environment import flushed_denormals
        from relaxit.training import StopRequest

        with flushed_denormals(), StopRequest() as self.stop:
            super().run()

    def introduce(self, device: torch.device) -> None:
        from relaxit.training import build_task

        self.facts = {"device": str(device)}
        over: dict[str, Any] = {"device": self.device}
        over |= {"epochs": self.epochs} if self.epochs else {}
        over |= {"data": {"dir": self.data_dir}} if self.data_dir else {}
        self.configs = [self.study.config(cell, over) for cell in self.cells]
        for config in self.configs:
            build_task(config)  # a wrong name or option shows before anything is run
        tell(f"study {self.study.name} on {device}: {self.study.summary}", self.quiet)

    def results(self, device: torch.device) -> Iterator[tuple[Cell, CellRun]]:
        from relaxit.reproduce import compare, reached, run_cell

        for number, (cell, config) in enumerate(zip(self.cells, self.configs, strict=True), 1):
            self.label = f"cell {number}/{len(self.cells)}, {cell.label}"
            self.total = config.epochs
            targets = reached(self.study, cell, config)
            evaluated = {target.epoch for target in targets} | {config.epochs}
            done = run_cell(config, self.seeds, evaluated, self.mode, self, self.download)
            if not done.finished:
                tell(f"{self.label}: stopped, not counted", self.quiet)
                return
            self.comparisons += compare(
                self.study, cell, targets, done.rows, done.lost, self.tolerance
            )
            yield cell, done

    def began(self, way: str, seeds: int) -> None:
        manner = {"ensemble": "as one ensemble", "in turn": "in turn"}[way]
        count = f"{seeds} seeds {manner}" if seeds > 1 else "1 seed"
        self.step(f"{self.label}: {count}")

    def epoch(self, seed: int | None, row: Row) -> None:
        source = "mean over seeds" if seed is None else f"seed {seed}"
        self.step(
            f"{self.label}: epoch {row['epoch']}/{self.total}, {source}: train loss "
            f"{row['train_loss']:.4f}"
        )

    def show(self, result: tuple[Cell, CellRun]) -> None:
        tell(f"{self.label}: {result[1].seconds:.0f} s", self.quiet)

    def document(self) -> dict[str, Any]:
        from relaxit.reproduce import study_document

        return study_document(
            self.study, self.seeds, self.epochs, self.facts["device"], self.done, self.comparisons
        )

    def text(self, path: Path) -> str:
        from relaxit.reproduce import markdown_table

        if path.suffix == ".md":
            return markdown_table(self.study, self.comparisons, len(self.seeds))
        return super().text(path)

    def conclude(self) -> None:
        from relaxit.reproduce import comparison_rows, footer

        if self.quiet or not self.done:
            return
        if self.comparisons:
            print_table("", *comparison_rows(self.study, self.comparisons), stderr=True)
        notes = footer(self.study, self.comparisons, len(self.seeds))
        print_notes(*notes, indent=0, stderr=True)

    def deliver(self) -> None:
        super().deliver()
        written = f"written: {', '.join(map(str, self.files))}"
        tell(written if self.done else "no cell is finished: nothing is written", self.quiet)

    def judge(self) -> int:
        failed = [c for c in self.comparisons if c.failed]
        if failed and not self.stop:
            labels = dict.fromkeys(f"{c.size} {c.estimator}" for c in failed)
            raise ReproductionError(
                f"{len(failed)} of {len(self.comparisons)} comparisons are off by more than the "
                f"tolerance, or diverged: {', '.join(labels)}"
            )
        return self.stop.exit_code


def _list(json: bool) -> None:
    from relaxit.reproduce import read_study, studies

    listing = {name: read_study(path) for name, path in studies().items()}
    if json:
        print_json({name: study.summary for name, study in listing.items()})
        return
    rows = [[name, str(len(study.cells)), study.summary] for name, study in listing.items()]
    print_table("studies", ["name", "cells", "summary"], rows)


def _files(name: str, out: Path | None) -> list[Path]:
    if out is None:
        stem = Path("reproductions") / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
        return [stem.with_name(stem.name + suffix) for suffix in (".json", ".md")]
    if out.suffix not in (".json", ".md"):
        raise ConfigurationError(f"--out must end in .json or .md, got {str(out)!r}")
    return [out]
