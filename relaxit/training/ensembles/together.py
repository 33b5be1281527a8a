"""Trains members as one batched step, and keeps each one's files as if it trained alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from relaxit.errors import DivergenceError
from relaxit.training.callbacks import Callback
from relaxit.training.ensembles.batched import Ensemble
from relaxit.training.ensembles.members import Member, sound
from relaxit.training.ensembles.summary import mean_row
from relaxit.training.runs import Recorder
from relaxit.training.stopping import StopRequest
from relaxit.training.trainer import Trainer

__all__ = ["train_together"]


def train_together(
    ensemble: Ensemble,
    members: Sequence[Member],
    callback: Callback,
    stop: StopRequest,
    evaluated: Collection[int] | None,
    saved: Callable[[], None],
) -> None:
    """Train all members as one batched step, to the last epoch or until a signal.

    Args:
        ensemble: the members' experiments, stacked.
        members: the members, whose rows and states are updated.
        callback: callback for the progress of all members together.
        stop: true as soon as the run should end.
        evaluated: epochs after which the held-out parts are evaluated; all if None.
        saved: called whenever the states of the members were saved.

    Raises:
        CheckpointError: if a file cannot be written.
    """
    epochs = ensemble.experiments[0].config.epochs
    trainers = [Trainer(e) for e in ensemble.experiments]  # now that their weights are views
    for member in members:
        member.open()
    with contextlib.ExitStack() as stack:
        recorders = [
            stack.enter_context(Recorder(member.run, member.experiment)) for member in members
        ]
        while ensemble.epoch < epochs and not stop:
            for number in sound(members):
                trainers[number].guard.trust(ensemble.step)
            try:
                finished = ensemble.run_epoch(stop, callback)
            except DivergenceError:  # of all members; each is recorded as diverged below
                finished = False
            _part_from_lost(ensemble, members, trainers, recorders)
            evaluate = evaluated is None or ensemble.epoch + 1 in evaluated
            for number in sound(members):
                _bring_up(trainers[number], ensemble, number)
                members[number].rows.append(trainers[number].summary(finished, evaluate))
                recorders[number].log(members[number].rows)
            if not sound(members):
                break
            callback.epoch(mean_row([members[number].rows[-1] for number in sound(members)]))
            if finished:
                ensemble.next_epoch()
            if recorders[0].due:
                _save(ensemble, members, trainers, recorders)
                saved()
        _save(ensemble, members, trainers, recorders)
        for number in sound(members):
            members[number].state = "finished" if ensemble.epoch == epochs else "stopped"
            recorders[number].draw(members[number].rows)


def _bring_up(trainer: Trainer, ensemble: Ensemble, number: int) -> None:
    """Bring the trainer of a member, which shares its weights, to the state of the ensemble."""
    trainer.epoch, trainer.position = ensemble.epoch, ensemble.position
    trainer.step = ensemble.step
    trainer.seconds = ensemble.seconds / len(ensemble.experiments)  # its share
    trainer.totals = ensemble.totals[number]
    trainer.generator = ensemble.generators[number]


def _part_from_lost(
    ensemble: Ensemble,
    members: Sequence[Member],
    trainers: Sequence[Trainer],
    recorders: Sequence[Recorder],
) -> None:
    """Restore the last good weights of members that diverged in this epoch, and save them."""
    for number, step in ensemble.lost.items():
        member, guard = members[number], trainers[number].guard
        if member.state != "training":
            continue
        guard.first_bad.step.fill_(step)
        try:
            guard.settle()
        except DivergenceError as error:
            member.lose(error)
        recorders[number].save_weights()
        recorders[number].draw(member.rows)


def _save(
    ensemble: Ensemble,
    members: Sequence[Member],
    trainers: Sequence[Trainer],
    recorders: Sequence[Recorder],
) -> None:
    """Write weights and state of all members that have not diverged."""
    moments = ensemble.optimizer.state_dict()["state"]
    for number in sound(members):
        trainer = trainers[number]
        _bring_up(trainer, ensemble, number)
        state = trainer.optimizer.state_dict()
        state["state"] = {key: _part(stacked, number) for key, stacked in moments.items()}
        trainer.optimizer.load_state_dict(state)
        recorders[number].save(trainer)


def _part(stacked: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return the optimizer state of one member; the step count is shared by all members."""
    return {key: value[number] if value.dim() else value for key, value in stacked.items()}
