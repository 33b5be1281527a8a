"""Times as ratios to a reference, to the best baseline and to a lower bound."""

import json

import pytest

from relaxit.bench import Benchmark, Implementation, Needs
from tests.bench.implementations import Known
from tests.bench.made_benchmarks import RATES, benchmark_of, ones, run


def test_ratios_are_to_the_reference_else_to_the_first():
    report = run(benchmark_of(Implementation("a", ones(2)), Implementation("b", ones(6))))
    assert [each.ratio for each in report.measurements] == [1.0, 3.0]
    last = Implementation("b", ones(6), reference=True)
    report = run(benchmark_of(Implementation("a", ones(3)), last))
    assert [each.ratio for each in report.measurements] == [0.5, 1.0]


def test_what_is_best_of_the_baselines_is_found_among_compiled_ones_too():
    ours, other = Implementation("ours", ones(2)), Implementation("other", ones(9), baseline="b")
    plain = Implementation("plain", ones(8), baseline="a", reference=True)
    compiled = Implementation("compiled", ones(4), baseline="a", compiled=True)
    report = run(benchmark_of(ours, plain, compiled, other))
    assert (report.reference, report.best) == ("plain", "compiled")
    assert [each.ratio for each in report.measurements] == [0.25, 1.0, 0.5, 9 / 8]
    assert [each.best_ratio for each in report.measurements] == [0.5, 2.0, 1.0, 9 / 4]
    assert report.to_json()["best"] == "compiled"


def test_without_a_baseline_none_is_best():
    report = run(benchmark_of(Implementation("a", ones(2)), Implementation("b", ones(6))))
    assert report.best == ""
    assert [each.best_ratio for each in report.measurements] == [None, None]


def test_no_ratios_without_the_reference():
    report = run(Known(), only=frozenset({"off"}))
    (off,) = report.measurements
    assert off.seconds.median == 1000.0
    assert off.ratio is None


def baselines() -> Benchmark:
    def absent():
        raise ModuleNotFoundError("no", name="theirs")

    return benchmark_of(
        Implementation("torch's", ones(2), reference=True, baseline="torch"),
        Implementation("theirs", absent, baseline="theirs"),
        Implementation("hers", ones(4), baseline="hers"),
        Implementation("ours", ones(8)),
    )


@pytest.mark.parametrize(
    ("against", "outcomes", "reference", "ratio"),
    [
        (
            (),
            {"torch's": "done", "theirs": "skipped", "hers": "done", "ours": "done"},
            "torch's",
            4,
        ),
        (("torch",), {"torch's": "done", "ours": "done"}, "torch's", 4),
        (("hers",), {"hers": "done", "ours": "done"}, "hers", 2),
        (("hers", "theirs"), {"theirs": "skipped", "hers": "done", "ours": "done"}, "hers", 2),
        (("theirs",), {"theirs": "skipped", "ours": "done"}, "ours", 1),
        (("relaxit",), {"ours": "done"}, "ours", 1),
    ],
)
def test_baselines_take_part_as_asked_and_ours_always(against, outcomes, reference, ratio):
    report = run(baselines(), against=frozenset(against))
    assert {each.name: each.outcome for each in report.measurements} == outcomes
    assert report.reference == reference
    assert report.measurements[-1].ratio == ratio
    assert report.measurements[-1].baseline == ""


def test_without_an_implementation_of_its_own_a_benchmark_has_none_left():
    report = run(
        benchmark_of(Implementation("a", ones(1), baseline="torch")), against=frozenset({"pyro"})
    )
    assert "no implementation is of pyro, relaxit" in report.reason


def test_times_are_in_units_of_the_lower_bound():
    members = {"needs": lambda self, device: Needs(bytes=150, random_numbers=20)}  # 1.5 s, 2 s
    benchmark = benchmark_of(Implementation("a", ones(3)), Implementation("b", ones(8)), **members)
    report = run(benchmark, RATES)
    assert (report.lower_bound.seconds, report.lower_bound.parts) == (
        2,
        {"memory": 1.5, "random numbers": 2},
    )
    assert [each.times_lower_bound for each in report.measurements] == [1.5, 4]
    assert json.loads(json.dumps(report.to_json()))["lower_bound"]["seconds"] == 2
    assert run(benchmark).lower_bound is None  # nobody has measured rates
    assert (
        run(benchmark_of(Implementation("a", ones(3))), RATES).measurements[0].times_lower_bound
        is None
    )


def test_an_implementation_may_be_the_lower_bound():
    implementations = [
        Implementation("a", ones(6)),
        Implementation("least", ones(4), lower_bound=True),
    ]
    report = run(benchmark_of(*implementations))
    assert report.lower_bound.parts == {"least": 4}
    assert [each.times_lower_bound for each in report.measurements] == [1.5, 1]
    assert run(benchmark_of(*implementations), only=frozenset({"a"})).lower_bound is None
