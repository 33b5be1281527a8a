"""``relaxit train --ensemble``: several seeds or temperatures, trained together or in turn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relaxit.cli.output import tell
from relaxit.cli.tables import print_table
from relaxit.errors import ConfigurationError

if TYPE_CHECKING:
    from relaxit.api import ProgressCallback
    from relaxit.training import RunConfig
    from relaxit.training.ensembles import EnsembleOutcome, Member, Plan

__all__ = ["parse_plan", "train_ensemble"]

_MOST = 10_000
_FLAG = "--ensemble"


def parse_plan(texts: Sequence[str], seed: int) -> Plan:
    """Parse the members that ``--ensemble`` requests.

    Args:
        texts: ``seeds=N`` (from ``seed`` on), ``seeds=A,B,...`` or ``temperatures=A,B,...``.
        seed: first seed of ``seeds=N``.

    Raises:
        ConfigurationError: naming the text that is wrong.

    Example:
        >>> parse_plan(["seeds=3", "temperatures=0.5,1"], seed=7)
        Plan(seeds=(7, 8, 9), temperatures=(0.5, 1.0))
    """
    from relaxit.training.ensembles import Plan

    parsed: dict[str, Any] = {}
    for text in texts:
        key, _, values = text.partition("=")
        key = key.strip()
        if key not in ("seeds", "temperatures"):
            raise ConfigurationError(
                f"{_FLAG} takes seeds=N, seeds=A,B,... or temperatures=A,B,..., got {text!r}"
            )
        if key in parsed:
            raise ConfigurationError(f"{_FLAG}: {key} is given twice")
        words = [word.strip() for word in values.split(",")]
        parse = _temperature if key == "temperatures" else _seed
        if key == "seeds" and len(words) == 1:
            parsed[key] = _from(seed, words[0])
            continue
        members = parsed[key] = tuple(parse(word) for word in words)
        repeated = next((m for n, m in enumerate(members) if m in members[:n]), None)
        if repeated is not None:
            raise ConfigurationError(f"{_FLAG} {text}: {repeated} is given twice")
    return Plan(**parsed)


def _from(seed: int, count: str) -> tuple[int, ...]:
    if not (count.isascii() and count.isdigit() and 1 <= int(count) <= _MOST):
        raise ConfigurationError(
            f"{_FLAG} seeds: expected a number of seeds from 1 to {_MOST}, or several seeds, "
            f"got {count!r}"
        )
    return tuple(range(seed, seed + int(count)))


def _seed(word: str) -> int:
    if not (word.isascii() and word.isdigit() and int(word) < 2**63):
        raise ConfigurationError(f"{_FLAG} seeds: expected integers from 0, got {word!r}")
    return int(word)


def _temperature(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise ConfigurationError(f"{_FLAG} temperatures: expected positive numbers, got {word!r}")
    return value


def train_ensemble(
    config: RunConfig, plan: Plan, out: Path | None, overwrite: bool, download: bool, quiet: bool
) -> tuple[EnsembleOutcome, Path]:
    """Train the members of a plan into one directory.

    Raises:
        RelaxitError: for any problem, before anything is written.
    """
    from relaxit.api import describe
    from relaxit.training.ensembles import open_members, train_members

    members, directory = open_members(config, plan, out, overwrite, download)
    for line in describe(members[0].experiment, f"{len(members)} members", directory.path):
        tell(line, quiet)
    outcome = train_members(members, _Progress(members, quiet), directory)
    outcome.require_any()
    if not quiet:
        _conclude(outcome, directory.path)
    return outcome, directory.path


class _Progress:
    """Prints the progress of an ensemble: one line per epoch for all members, or for each."""

    def __init__(self, members: Sequence[Member], quiet: bool) -> None:
        self.members = members
        self.quiet = quiet

    def began(self, way: str, reason: str) -> None:
        text = {
            "one step": "all members train as one batched step; lines are means over them",
            "in turn": "members train in turn, which is faster here",
        }[way]
        if reason:
            text = f"members train in turn: {reason}"
        tell(text, self.quiet)

    def watch(self, member: Member | None) -> ProgressCallback:
        from relaxit.api import ProgressCallback

        e = self.members[0].experiment
        count = len(self.members) if member is None else 1
        if member is not None:
            tell(
                f"{member.name}, {self.members.index(member) + 1} of {len(self.members)}",
                self.quiet,
            )
        examples = count * len(e.data.train)
        return ProgressCallback(e.config.epochs, examples, 0, e.display, self.quiet, e.noun)


def _conclude(outcome: EnsembleOutcome, path: Path) -> None:
    columns, rows = outcome.table()
    if rows:
        last = outcome.compared[0].rows[-1]
        unit = outcome.members[0].experiment.display.unit
        title = f"after epoch {last['epoch']}" + (f", {unit}" if unit else "")
        print_table(title, columns, rows, stderr=True)
    compared = outcome.compared
    for member in outcome.members:
        if member.state == "diverged":
            tell(f"{member.name} diverged and is left out: {member.reason}")
        elif member not in compared:
            done = (
                f"stopped in epoch {member.rows[-1]['epoch']}" if member.rows else "did not begin"
            )
            tell(f"{member.name} {done} and is left out")
    if outcome.exit_code:
        stopped = next((m for m in outcome.members if m.state == "stopped"), None)
        more = (
            f"; continue a member with: relaxit train --resume {path / stopped.name}"
            if stopped
            else ""
        )
        tell(f"stopped early{more}")
    tell(f"members, means, standard errors and curves: {path}")
