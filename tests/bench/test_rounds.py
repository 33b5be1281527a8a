"""Rounds are fair, end when they should, and outlive an implementation that fails."""

import pytest

from relaxit.bench.rounds import LEAST, Interrupted, Spread, median_ratio, run_rounds
from tests.bench.implementations import Clock


def calls_of(clock: Clock, **seconds: float):
    return {name: clock.takes(name, each) for name, each in seconds.items()}


def test_every_implementation_runs_once_a_round_in_changing_order():
    clock = Clock()
    calls = calls_of(clock, a=1.0, b=2.0, c=3.0)
    times, failed = run_rounds(calls, clock.timer, 40, 1e9, clock=clock)
    orders = [tuple(clock.calls[i : i + 3]) for i in range(0, 120, 3)]
    assert all(sorted(order) == ["a", "b", "c"] for order in orders)
    assert len(set(orders)) == 6
    assert times == {"a": [1.0] * 40, "b": [2.0] * 40, "c": [3.0] * 40}
    assert failed == {}


def test_the_orders_are_those_of_the_seed():
    def order(seed: int) -> list[str]:
        clock = Clock()
        calls = calls_of(clock, a=1.0, b=1.0, c=1.0)
        run_rounds(calls, clock.timer, 10, 1e9, seed=seed, clock=clock)
        return clock.calls

    assert order(1) == order(1) != order(2)


@pytest.mark.parametrize(
    ("rounds", "seconds", "expected"), [(5, 1e9, 5), (100, 7.0, 7), (100, 0.0, LEAST), (1, 0.0, 1)]
)
def test_rounds_end_with_their_number_or_the_time(rounds, seconds, expected):
    clock = Clock()
    told: list[int] = []
    calls = calls_of(clock, a=0.25, b=0.75)
    times, _ = run_rounds(calls, clock.timer, rounds, seconds, clock=clock, progress=told.append)
    assert [len(each) for each in times.values()] == [expected, expected]
    assert told == list(range(1, expected + 1))


def test_one_that_fails_in_a_later_round_leaves_the_others():
    clock = Clock()
    left = iter(range(2))

    def fails() -> int:
        return next(left)

    calls = {**calls_of(clock, a=1.0), "fails": fails, **calls_of(clock, b=1.0)}
    times, failed = run_rounds(calls, clock.timer, 9, 1e9, clock=clock)
    assert {name: len(each) for name, each in times.items()} == {"a": 9, "b": 9}
    assert failed == {"fails": "StopIteration"}


def test_ctrl_c_gives_the_whole_rounds_before_it():
    clock = Clock()
    left = iter([1, 1, 1])

    def interrupted() -> int:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return 1

    calls = {**calls_of(clock, a=1.0, b=2.0), "c": interrupted}
    with pytest.raises(Interrupted) as stop:
        run_rounds(calls, clock.timer, 9, 1e9)
    assert {name: len(each) for name, each in stop.value.times.items()} == {"a": 3, "b": 3, "c": 3}


def test_nothing_to_run_ends_at_once():
    assert run_rounds({}, Clock().timer, 10, 1e9) == ({}, {})


def test_ratios_are_taken_within_rounds():
    # The medians, 30 and 10, would say 3.
    assert median_ratio([30.0, 20.0, 110.0], [1.0, 10.0, 100.0]) == 2.0
    assert median_ratio([2.0, 2.0], [0.0, 1.0]) == 2.0
    assert median_ratio([2.0, 2.0], [0.0, 0.0]) is None


def test_spread():
    assert Spread.of([3.0]) == Spread(3.0, 3.0, 3.0)
    assert Spread.of([1.0, 2.0]) == Spread(1.5, 1.25, 1.75)
