"""``relaxit bench training``: an old tutorial's VAE, its script compared with our engines."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relaxit.cli.bench.session import BenchmarkSession
from relaxit.cli.bench.suite import taking_part
from relaxit.cli.bench.table import Unit, print_programs, print_report
from relaxit.cli.flags import settings_of
from relaxit.cli.options import Against, Device, Json, NoCompile, Only, Out, Threads, names_in
from relaxit.errors import ConfigurationError

if TYPE_CHECKING:
    import torch

    from relaxit.bench import BenchmarkReport
    from relaxit.bench.processes import ProgramReport

__all__ = ["show", "training"]

_EPOCH = 600  # steps: 60 000 images, 100 per step
_TOTAL_ROUNDS = 3


def training(
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", help="Directory of the MNIST files; random images if absent."),
    ] = None,
    steps: Annotated[int, typer.Option(help="Training steps per timed block.")] = 100,
    total: Annotated[
        int | None,
        typer.Option(
            metavar="EPOCHS",
            help="Also time the script and relaxit train as whole programs of so many epochs, in "
            "three rounds at most.",
        ),
    ] = None,
    device: Device = "auto",
    threads: Threads = None,
    rounds: Annotated[int, typer.Option(help="Maximum number of blocks per implementation.")] = 9,
    seconds: Annotated[
        float, typer.Option(help="Time budget in seconds; at least three rounds are run.")
    ] = 300.0,
    against: Against = None,
    only: Only = None,
    no_compile: NoCompile = False,
    json: Json = False,
    out: Out = None,
) -> None:
    """Time training steps of an old tutorial's VAE: its script, our engines, the matmuls alone.

    Blocks of steps run in turn, round after round; times are seconds per epoch of 600 steps.
    Ratios are to the time of the script, so below 1 is faster; bounds are multiples of the time of
    the float32 matmuls alone.
    """
    for flag, value in (("--steps", steps), ("--total", total)):
        if value is not None and value < 1:
            raise ConfigurationError(f"{flag} must be at least 1, got {value}")
    from relaxit.bench import BenchmarkSettings

    settings = settings_of(
        BenchmarkSettings,
        rounds=rounds,
        seconds=seconds,
        compiled=not no_compile,
        only=frozenset(only or ()),
        against=frozenset(names_in(against)),
    )
    _TrainingSession(
        device=device,
        threads=threads,
        json=json,
        files=[out] if out else [],
        settings=settings,
        data_dir=data_dir,
        steps=steps,
        total=total,
    ).run()


@dataclass(kw_only=True)
class _TrainingSession(BenchmarkSession):
    """Times blocks of steps, and whole programs of ``total`` epochs unless it is None."""

    data_dir: Path | None
    steps: int
    total: int | None

    def results(self, device: torch.device) -> Iterator[BenchmarkReport | ProgramReport]:
        from relaxit.bench import run_benchmark
        from relaxit.tasks.vae.benchmarks import TrainingSteps, mnist_files

        images = "MNIST" if self.data_dir else "random"
        with mnist_files(self.data_dir) as directory:
            _require_images(directory)
            benchmark = TrainingSteps(steps=self.steps, images=images, data_dir=str(directory))
            taking_part([benchmark], self.settings, device)  # an unknown name raises here
            yield run_benchmark(benchmark, device, self.settings, progress=self.progress)
            if self.total is not None:
                yield self._programs(device, directory, self.total)

    def _programs(self, device: torch.device, directory: Path, epochs: int) -> ProgramReport:
        """Time the script and ``relaxit train`` as whole programs."""
        from relaxit.bench.processes import run_program, time_programs
        from relaxit.tasks.vae.benchmarks import training_programs

        with tempfile.TemporaryDirectory(prefix="relaxit-total-") as place:
            return time_programs(
                "total",
                "seconds from Enter to the figure, imports included",
                training_programs(epochs, directory, str(device)),
                lambda program: run_program(program, Path(place), self.threads),
                rounds=min(self.settings.rounds, _TOTAL_ROUNDS),
                progress=self.progress,
            )

    def show(self, result: BenchmarkReport | ProgramReport) -> None:
        if not self.json:
            show(result, self.steps)

    def document(self) -> dict[str, Any]:
        found = super().document()
        found["settings"]["total"] = self.total
        return found


def show(figures: BenchmarkReport | ProgramReport, steps: int) -> None:
    """Print a table; blocks of steps are shown in seconds per epoch."""
    from relaxit.bench.processes import ProgramReport

    if isinstance(figures, ProgramReport):
        print_programs(figures)
    else:
        print_report(figures, Unit("s per epoch", _EPOCH / steps))


def _require_images(directory: Path) -> None:
    """Check that a directory has the files.

    Raises:
        DataError: naming the missing file.
    """
    from relaxit.plugins import default_registry

    default_registry().find("dataset", "mnist")().load(directory)
