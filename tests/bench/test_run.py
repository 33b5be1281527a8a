"""A whole run: what is measured, what is skipped, what fails, and what is left as it was."""

import json

import pytest
import torch

from relaxit.bench import Benchmark, BenchmarkSettings, Implementation, Needs, Rates, run_benchmark
from relaxit.bench import prepare as preparation
from relaxit.bench.measuring.machine import seconds_since_start, setting, threads
from relaxit.bench.run import Stopped
from tests.bench.implementations import Clock, Known

CPU = torch.device("cpu")


def run(benchmark: Benchmark, rates: Rates | None = None, **settings):
    clock = Clock()

    def timer(call) -> float:  # the time of a call is the number of entries it returns
        return float(call().numel() + clock.now)

    return run_benchmark(
        benchmark,
        CPU,
        BenchmarkSettings(**{"rounds": 4, **settings}),
        rates=rates,
        timer=timer,
        clock=clock,
    )


def benchmark_of(*implementations: Implementation, **members) -> Benchmark:
    body = {
        "api": 1,
        "name": "test-made",
        "implementations": lambda self, device: implementations,
        **members,
    }
    return type("Made", (Benchmark,), body)()


def ones(entries: int):
    return lambda: lambda: torch.ones(entries)


def test_what_is_known_is_found():
    report = run(Known())
    found = {each.name: each for each in report.measurements}
    assert list(found) == ["off", "right", "raises", "short", "absent", "refuses"]
    assert (report.reference, report.input_bytes, report.rounds) == ("right", 4000, 4)
    assert {name: each.outcome for name, each in found.items()} == {
        "off": "done",
        "right": "done",
        "raises": "failed",
        "short": "failed",
        "absent": "skipped",
        "refuses": "skipped",
    }
    assert found["off"].error.absolute == found["off"].error.relative == 0.5
    assert found["right"].error.absolute == 0
    assert found["right"].memory_bytes == 4000
    assert report.in_inputs(found["right"]) == 1.0
    assert found["right"].ratio == 1.0
    assert found["raises"].reason.startswith("RuntimeError: ")
    assert "[[1]]" in found["short"].reason
    assert found["absent"].reason == "a_baseline_that_nobody_has is not installed"
    assert found["refuses"].reason == "needs a quiet room"
    assert found["raises"].seconds is None
    assert not report.broken


def test_options_change_the_sizes():
    assert run(Known(n=10)).input_bytes == 40


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


def test_no_oracle_no_error_and_no_inputs_no_unit():
    report = run(benchmark_of(Implementation("a", ones(3))))
    assert report.measurements[0].error is None
    assert report.measurements[0].memory_bytes == 12
    assert report.in_inputs(report.measurements[0]) is None


def test_what_is_compared_may_be_a_part_of_the_result():
    members = {
        "compared": lambda self, result: result.mean(0),
        "oracle": lambda self, device: torch.tensor(0.75).double(),
    }
    report = run(benchmark_of(Implementation("a", ones(3)), **members))
    assert report.measurements[0].error.absolute == 0.25


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


def test_compiled_ones_can_be_left_out(monkeypatch):
    benchmark = benchmark_of(
        Implementation("a", ones(1)), Implementation("b", ones(1), compiled=True)
    )
    made = run(benchmark, compiled=False).measurements[1]
    assert (made.outcome, made.reason) == ("skipped", "compiled implementations were not requested")
    monkeypatch.setattr(preparation, "cannot_compile", lambda device: "there is no compiler")
    made = run(benchmark).measurements[1]
    assert (made.outcome, made.reason) == ("skipped", "there is no compiler")
    monkeypatch.setattr(preparation, "cannot_compile", lambda device: "")
    assert run(benchmark).measurements[1].outcome == "done"


def test_why_nothing_can_be_compiled(monkeypatch):
    from relaxit.bench.measuring.compiler import cannot_compile

    def refuse(*_, **__):
        raise RuntimeError("no C++ compiler\nat all")

    monkeypatch.setattr(torch, "compile", refuse)
    cannot_compile.cache_clear()
    try:
        assert cannot_compile(CPU).endswith("RuntimeError: no C++ compiler at all")
    finally:
        cannot_compile.cache_clear()


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


# --- baselines ------------------------------------------------------------------------------------


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


# --- lower bounds
# -----------------------------------------------------------------------------------

RATES = Rates(((1, 100.0),), random_numbers=10.0, flops=1.0)


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


def test_needs_that_raise_are_a_fault_of_the_benchmark():
    members = {"needs": lambda self, device: 1 / 0}
    assert (
        "ZeroDivision" in run(benchmark_of(Implementation("a", ones(1)), **members), RATES).reason
    )


def test_draws_are_those_of_the_seed_and_the_generator_is_put_back():
    seen = []

    def make():
        def call():
            seen.append(torch.rand(()))
            return seen[-1]

        return call

    before = torch.get_rng_state()
    for seed in (0, 0, 1):
        run(benchmark_of(Implementation("a", make)), seed=seed)
    assert torch.equal(torch.get_rng_state(), before)
    calls = len(seen) // 3
    first, again, other = seen[0], seen[calls], seen[2 * calls]
    assert first == again != other


def test_all_of_it_is_json():
    document = json.loads(json.dumps(run(Known()).to_json(), allow_nan=False))
    assert document["options"] == {"n": 1000}
    assert document["implementations"][0]["seconds"] == {"median": 1e3, "lower": 1e3, "upper": 1e3}
    assert document["implementations"][1]["memory_inputs"] == 1.0


def test_threads_are_put_back():
    before = torch.get_num_threads()
    with threads(before + 1):
        assert setting(CPU)["threads"] == before + 1
    assert torch.get_num_threads() == before
    with threads(None):
        assert torch.get_num_threads() == before


def test_the_age_of_the_process():
    before = seconds_since_start()
    if before is None:
        pytest.skip("this system does not say when a process began")
    assert 0 <= before <= seconds_since_start() < 1e5
