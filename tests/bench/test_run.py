"""A whole run: what is measured, what is skipped, and what is left as it was."""

import json

import torch

from relaxit.bench import Implementation
from relaxit.bench import prepare as preparation
from tests.bench.implementations import Known
from tests.bench.made_benchmarks import benchmark_of, ones, run


def test_what_is_known_is_found():
    report = run(Known())
    found = {each.name: each for each in report.measurements}
    assert list(found) == ["off", "right", "raises", "short", "absent", "unavailable"]
    assert (report.reference, report.input_bytes, report.rounds) == ("right", 4000, 4)
    assert {name: each.outcome for name, each in found.items()} == {
        "off": "done",
        "right": "done",
        "raises": "failed",
        "short": "failed",
        "absent": "skipped",
        "unavailable": "skipped",
    }
    assert found["off"].error.absolute == found["off"].error.relative == 0.5
    assert found["right"].error.absolute == 0
    assert found["right"].memory_bytes == 4000
    assert report.in_inputs(found["right"]) == 1.0
    assert found["right"].ratio == 1.0
    assert found["raises"].reason.startswith("RuntimeError: ")
    assert "[[1]]" in found["short"].reason
    assert found["absent"].reason == "a_baseline_that_nobody_has is not installed"
    assert found["unavailable"].reason == "needs a quiet room"
    assert found["raises"].seconds is None
    assert not report.broken


def test_options_change_the_sizes():
    assert run(Known(n=10)).input_bytes == 40


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
