"""Rounds: every implementation runs once in each, in a shuffled order, until time is up."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from relaxit.bench.measuring.clock import Timer
from relaxit.errors import error_summary

__all__ = ["LEAST", "Interrupted", "Spread", "median_ratio", "run_rounds"]

LEAST = 3
"""Rounds that are run however long they take, unless fewer are requested."""


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of some times, in seconds."""

    median: float
    lower: float
    upper: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Spread:
        """Return the spread of one or more times.

        Example:
            >>> Spread.of([4.0, 1.0, 2.0, 3.0, 5.0])
            Spread(median=3.0, lower=2.0, upper=4.0)
        """
        if len(seconds) == 1:
            return cls(seconds[0], seconds[0], seconds[0])
        lower, median, upper = statistics.quantiles(seconds, n=4, method="inclusive")
        return cls(median, lower, upper)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during the rounds, with the results of the complete rounds before it.

    Attributes:
        times, failed: as :func:`run_rounds` would have returned them.
    """

    def __init__(self, times: dict[str, list[float]], failed: dict[str, str]) -> None:
        super().__init__()
        complete = min(map(len, times.values()), default=0)
        self.times = {name: seconds[:complete] for name, seconds in times.items()}
        self.failed = failed


def run_rounds(
    calls: Mapping[str, Callable[[], Any]],
    timer: Timer,
    rounds: int,
    seconds: float,
    *,
    seed: int = 0,
    clock: Callable[[], float] = time.monotonic,
    progress: Callable[[int], None] = lambda number: None,
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Time all calls, each once per round.

    A machine that slows down or speeds up meanwhile does so for all of them; the order is shuffled,
    so that none always follows the same other.

    Args:
        calls: what to time, by name.
        timer: makes one call and returns its seconds.
        rounds: maximum number of rounds.
        seconds: no round begins later than this, after the first :data:`LEAST`.
        seed: seed of the orders.
        clock: clock by which ``seconds`` are measured.
        progress: called with the number of each round, from 1.

    Returns:
        Seconds by name, one for each round; and by name the reasons why calls failed. A call that
        fails is not timed any further and has no seconds; the others continue.

    Raises:
        Interrupted: at Ctrl-C.
    """
    order = random.Random(seed)
    names, end = list(calls), clock() + seconds
    times: dict[str, list[float]] = {name: [] for name in calls}
    failed: dict[str, str] = {}
    try:
        for number in range(1, rounds + 1):
            if not names or (number > LEAST and clock() >= end):
                break
            progress(number)
            order.shuffle(names)
            for name in list(names):
                try:
                    times[name].append(timer(calls[name]))
                except Exception as error:
                    failed[name] = error_summary(error)
                    names.remove(name)
                    del times[name]
    except KeyboardInterrupt as error:
        raise Interrupted(times, failed) from error
    return times, failed


def median_ratio(seconds: Sequence[float], of: Sequence[float]) -> float | None:
    """Return the median over rounds of the ratio of two calls' times in the same round.

    Rounds in which the second call is too short for the clock do not count; None if all are.

    Example:
        >>> median_ratio([2.0, 30.0, 2.2], [1.0, 10.0, 1.0])
        2.2
    """
    ratios = [a / b for a, b in zip(seconds, of, strict=True) if b > 0]
    return statistics.median(ratios) if ratios else None
