"""The training loop: epochs, metrics, saved states and signals, independent of the task."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from relaxit.errors import ConfigurationError, DivergenceError
from relaxit.training.callbacks import Callback, SilentCallback
from relaxit.training.display import Row
from relaxit.training.experiment import Experiment
from relaxit.training.runs import Recorder, RunDirectory, load_state
from relaxit.training.stopping import StopRequest
from relaxit.training.trainer import Trainer

__all__ = ["Outcome", "train"]


@dataclass(frozen=True)
class Outcome:
    """Result of a run: metrics of each epoch, and exit code 0, 130 (Ctrl-C) or 143 (SIGTERM)."""

    rows: list[Row]
    exit_code: int


def train(
    experiment: Experiment,
    run: RunDirectory | None = None,
    report: Callback | None = None,
    resume: bool = False,
    evaluated: Collection[int] | None = None,
) -> Outcome:
    """Train to the last epoch or until a signal; the run directory is complete in both cases.

    Args:
        experiment: the experiment, from :func:`relaxit.training.build`.
        run: the run directory, which must exist; None writes no files.
        report: callback that is notified of progress.
        resume: whether to continue from the saved state.
        evaluated: epochs after which the held-out parts are evaluated; all if None.

    Raises:
        DivergenceError: if the loss is not finite; the last good weights are saved first.
        CheckpointError: if a file cannot be written, or the state to resume from does not fit.
        ConfigurationError: if the run already has more epochs than configured.
    """
    report = report or SilentCallback()
    trainer = Trainer(experiment)
    rows = _continue(trainer, run) if resume and run else []
    with StopRequest() as stop, Recorder(run, experiment) as recorder:
        try:
            while trainer.epoch < experiment.config.epochs and not stop:
                finished = trainer.run_epoch(report, stop)
                evaluate = evaluated is None or trainer.epoch + 1 in evaluated
                rows.append(trainer.summary(finished, evaluate))
                recorder.log(rows)
                report.epoch(rows[-1])
                if finished:
                    trainer.next_epoch()
                if recorder.due:
                    recorder.save(trainer)
        except DivergenceError:
            recorder.save_weights()
            recorder.draw(rows)
            raise
        recorder.save(trainer)
        recorder.draw(rows)
    unfinished = trainer.epoch < experiment.config.epochs
    return Outcome(rows, stop.exit_code if unfinished else 0)


def _continue(trainer: Trainer, run: RunDirectory) -> list[Row]:
    """Restore a trainer from its run directory; return the metrics of the finished epochs."""
    trainer.load_state_dict(load_state(run.state_file))
    e = trainer.experiment
    if trainer.epoch > e.config.epochs:
        raise ConfigurationError(
            f"{run.path} has {trainer.epoch} finished epochs; --epochs must not be smaller"
        )
    run.write_config(
        e.config, e.data.format
    )  # only now, so that a state that does not fit changes nothing
    return [row for row in run.read_metrics() if row["epoch"] <= trainer.epoch]
