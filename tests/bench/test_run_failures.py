"""Benchmarks that are wrong, and implementations that fail or are interrupted."""

import pytest
import torch

from relaxit.bench import Implementation
from relaxit.bench.run import Stopped
from tests.bench.made_benchmarks import RATES, benchmark_of, ones, run


@pytest.mark.parametrize(
    ("benchmark", "reason"),
    [
        (benchmark_of(), "has no implementations"),
        (benchmark_of(Implementation("a", ones(1)), Implementation("a", ones(2))), "share a name"),
        (
            benchmark_of(*(Implementation(n, ones(1), reference=True) for n in "ab")),
            "more than one implementation is the reference",
        ),
        (
            benchmark_of(*(Implementation(n, ones(1), lower_bound=True) for n in "ab")),
            "more than one implementation is the lower bound",
        ),
        (
            benchmark_of(Implementation("a", ones(1)), oracle=lambda self, device: 1 / 0),
            "ZeroDivisionError",
        ),
    ],
)
def test_a_benchmark_that_is_wrong_says_so(benchmark, reason):
    report = run(benchmark)
    assert reason in report.reason
    assert report.measurements == []
    assert report.broken


def test_needs_that_raise_are_a_fault_of_the_benchmark():
    members = {"needs": lambda self, device: 1 / 0}
    assert (
        "ZeroDivision" in run(benchmark_of(Implementation("a", ones(1)), **members), RATES).reason
    )


def test_an_implementation_that_gives_up_in_a_round_is_reported():
    calls = iter(range(6))

    def tires():
        next(calls)
        return torch.ones(1)

    report = run(benchmark_of(Implementation("a", ones(1)), Implementation("tires", lambda: tires)))
    first, second = report.measurements
    assert (first.outcome, second.outcome) == ("done", "failed")
    assert (second.reason, second.seconds, second.ratio) == ("StopIteration", None, None)
    assert report.rounds == 4


def test_ctrl_c_is_no_failure_of_an_implementation():
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(benchmark_of(Implementation("a", lambda: interrupted)))


def test_ctrl_c_in_a_round_leaves_what_the_rounds_before_gave():
    calls = iter(range(100))

    def interrupted():  # a first call, three to warm up, one for memory, two whole rounds
        if next(calls) == 7:
            raise KeyboardInterrupt
        return torch.ones(6)

    implementations = [Implementation("a", ones(3)), Implementation("b", lambda: interrupted)]
    with pytest.raises(Stopped) as stop:
        run(benchmark_of(*implementations))
    report = stop.value.report
    assert report.rounds == 2
    assert [each.ratio for each in report.measurements] == [1.0, 2.0]
    assert [each.seconds.median for each in report.measurements] == [3.0, 6.0]
