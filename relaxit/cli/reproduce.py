"""``relaxit reproduce``: run a stored study and compare it with its targets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from relaxit.cli.output import print_json, tell
from relaxit.cli.output_file import require_writable
from relaxit.cli.plugin_option import PluginFiles
from relaxit.cli.tables import print_notes, print_table
from relaxit.errors import ConfigurationError, ReproductionError
from relaxit.json_text import json_text

if TYPE_CHECKING:
    from relaxit.reproduce import Cell, CellRun, Comparison, Study
    from relaxit.training import Row, StopRequest

__all__ = ["reproduce"]

_MODES = ("auto", "always", "never")


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
    device: Annotated[
        str, typer.Option("--device", help="Device: auto, cpu, cuda, cuda:N or mps.")
    ] = "auto",
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
    json: Annotated[
        bool, typer.Option("--json", help="Print the document as JSON to stdout.")
    ] = False,
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
    cells = study.select(_words(sizes), _words(estimators))
    if ensemble not in _MODES:
        raise ConfigurationError(f"--ensemble must be auto, always or never, got {ensemble!r}")
    if tolerance is not None and not tolerance > 0:
        raise ConfigurationError(f"--tolerance must be greater than 0, got {tolerance}")
    files = _files(study.name, out)
    over: dict[str, Any] = {"device": device}
    over |= {"epochs": epochs} if epochs else {}
    over |= {"data": {"dir": data_dir}} if data_dir else {}

    from relaxit.environment import flushed_denormals
    from relaxit.training import StopRequest

    count = seeds or study.seeds
    with flushed_denormals(), StopRequest() as stop:
        work = _Work(study, cells, over, count, ensemble, tolerance, stop, download, quiet)
        try:
            work.run()
        except BaseException:
            work.write(files, work.document(epochs))  # finished cells are kept
            raise
    document = work.document(epochs)
    try:
        work.write(files, document)
    finally:  # hours of work must not be lost to a full disk
        if json:
            print_json(document, allow_nan=False)
    work.conclude(files)
    if stop.exit_code:
        raise typer.Exit(stop.exit_code)
    _judge(work.comparisons)


def _judge(comparisons: Sequence[Comparison]) -> None:
    failed = [c for c in comparisons if c.failed]
    if failed:
        labels = dict.fromkeys(f"{c.size} {c.estimator}" for c in failed)
        raise ReproductionError(
            f"{len(failed)} of {len(comparisons)} comparisons are off by more than the tolerance, "
            f"or diverged: {', '.join(labels)}"
        )


class _Work:
    """The cells of a study, run in turn; also the callback for their progress."""

    def __init__(
        self,
        study: Study,
        cells: Sequence[Cell],
        over: dict[str, Any],
        seeds: int,
        mode: str,
        tolerance: float | None,
        stop: StopRequest,
        download: bool,
        quiet: bool,
    ) -> None:
        self.study, self.cells, self.over, self.seeds = study, cells, over, range(seeds)
        self.mode, self.tolerance, self.stop = mode, tolerance, stop
        self.download, self.quiet = download, quiet
        self.runs: list[tuple[Cell, CellRun]] = []
        self.comparisons: list[Comparison] = []
        self.label = ""
        self.epochs = 0
        self.device = ""

    def run(self) -> None:
        """Train and compare the cells until all are done or a signal arrives."""
        from relaxit.environment import choose_device
        from relaxit.reproduce import compare, reached, run_cell
        from relaxit.training import build_task

        self.device = str(choose_device(self.over["device"]))
        configs = [self.study.config(cell, self.over) for cell in self.cells]
        for config in configs:
            build_task(config)  # a wrong name or option shows before anything is run
        tell(f"study {self.study.name} on {self.device}: {self.study.summary}", self.quiet)
        for number, (cell, config) in enumerate(zip(self.cells, configs, strict=True), 1):
            self.label = f"cell {number}/{len(self.cells)}, {cell.label}"
            self.epochs = config.epochs
            targets = reached(self.study, cell, config)
            evaluated = {target.epoch for target in targets} | {config.epochs}
            mode = cast(Literal["auto", "always", "never"], self.mode)
            done = run_cell(config, self.seeds, evaluated, mode, self, self.download)
            if not done.finished:
                tell(f"{self.label}: stopped, not counted", self.quiet)
                return
            tell(f"{self.label}: {done.seconds:.0f} s", self.quiet)
            self.runs.append((cell, done))
            self.comparisons += compare(
                self.study, cell, targets, done.rows, done.lost, self.tolerance
            )

    def began(self, way: str, seeds: int) -> None:
        manner = {"ensemble": "as one ensemble", "in turn": "in turn"}[way]
        count = f"{seeds} seeds {manner}" if seeds > 1 else "1 seed"
        tell(f"{self.label}: {count}", self.quiet)

    def epoch(self, seed: int | None, row: Row) -> None:
        source = "mean over seeds" if seed is None else f"seed {seed}"
        tell(
            f"{self.label}: epoch {row['epoch']}/{self.epochs}, {source}: train loss "
            f"{row['train_loss']:.4f}",
            self.quiet,
        )

    def document(self, epochs: int | None) -> dict[str, Any]:
        """Return the document of the finished cells."""
        from relaxit.reproduce import study_document

        return study_document(
            self.study, self.seeds, epochs, self.device, self.runs, self.comparisons
        )

    def write(self, files: Sequence[Path], document: dict[str, Any]) -> None:
        """Write the document and the table; without a finished cell, keep the former files."""
        from relaxit.files import write_atomically
        from relaxit.reproduce import markdown_table

        if not self.runs:
            return
        for path in files:
            _make_directory(path.parent)
            if path.suffix == ".md":
                write_atomically(
                    path, markdown_table(self.study, self.comparisons, len(self.seeds))
                )
            else:
                write_atomically(path, json_text(document) + "\n")

    def conclude(self, files: Sequence[Path]) -> None:
        """Print the table, and where it was written."""
        from relaxit.reproduce import comparison_rows, footer

        if self.quiet:
            return
        if not self.runs:
            tell("no cell is finished: nothing is written")
            return
        if self.comparisons:
            print_table("", *comparison_rows(self.study, self.comparisons), stderr=True)
        notes = footer(self.study, self.comparisons, len(self.seeds))
        print_notes(*notes, indent=0, stderr=True)
        tell(f"written: {', '.join(map(str, files))}")


def _list(json: bool) -> None:
    from relaxit.reproduce import read_study, studies

    listing = {name: read_study(path) for name, path in studies().items()}
    if json:
        print_json({name: study.summary for name, study in listing.items()})
        return
    rows = [[name, str(len(study.cells)), study.summary] for name, study in listing.items()]
    print_table("studies", ["name", "cells", "summary"], rows)


def _words(text: str | None) -> list[str]:
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def _files(name: str, out: Path | None) -> list[Path]:
    """Return the files to write; raise before training if one cannot be written."""
    if out is None:
        stem = Path("reproductions") / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
        files = [stem.with_name(stem.name + suffix) for suffix in (".json", ".md")]
    elif out.suffix not in (".json", ".md"):
        raise ConfigurationError(f"--out must end in .json or .md, got {str(out)!r}")
    else:
        files = [out]
    for path in files:
        require_writable("--out", path, make_directory=True)
    return files


def _make_directory(path: Path) -> None:
    from relaxit.errors import CheckpointError

    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be written: {error.strerror}") from error
