"""The benchmarks of k-subsets run at small sizes, and their errors are right.

No test depends on a time.
"""

from __future__ import annotations

import importlib.util
import sys

import pytest
import torch

from relaxit.bench import Benchmark, BenchmarkSettings, run_benchmark
from relaxit.plugins.registry import default_registry
from relaxit_subset.benchmarks.subsets import (
    SubsetDraw,
    SubsetMarginals,
    SubsetRelaxed,
    SubsetSlopes,
)

CPU = torch.device("cpu")
SMALL = [
    each(batch=3, n=6, k=2) for each in (SubsetMarginals, SubsetSlopes, SubsetDraw, SubsetRelaxed)
]
EACH = pytest.mark.parametrize("benchmark", SMALL, ids=lambda each: each.name)


def measured(benchmark: Benchmark) -> dict:
    report = run_benchmark(benchmark, CPU, BenchmarkSettings(rounds=1, seconds=0, compiled=False))
    assert report.reason == ""
    return {each.name: each for each in report.measurements}


def result_of(benchmark: Benchmark, name: str):
    (found,) = [each for each in benchmark.implementations(CPU) if each.name == name]
    return found.make()()


def test_they_are_registered():
    found = default_registry().items("benchmark")
    for each in SMALL:
        assert found[each.name] is type(each)
        assert each.structure == "subset"


@EACH
def test_each_runs_and_only_absent_baselines_are_skipped(benchmark):
    absent = importlib.util.find_spec("softtorch") is None
    for name, each in measured(benchmark).items():
        if each.compiled or (absent and name.startswith("softtorch")):
            assert each.outcome == "skipped"
            assert each.reason
            continue
        assert each.outcome == "done", each.reason
        assert each.error is None or each.error.not_finite == 0


@pytest.mark.parametrize("benchmark", SMALL[:2], ids=lambda each: each.name)
def test_the_exact_ones_agree_with_the_recursion(benchmark):
    for name, each in measured(benchmark).items():
        if not each.compiled:
            assert each.error.absolute < 1e-5, name


def test_softtorch_is_skipped_with_the_reason_where_it_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "softtorch", None)
    found = measured(SMALL[3])
    assert found["softtorch, softsort"].outcome == "skipped"
    assert found["softtorch, softsort"].reason == "softtorch is not installed"
    assert found["projection"].outcome == "done"


@pytest.mark.parametrize("name", ["successive softmax", "projection", "softtorch, softsort"])
def test_soft_samples_sum_to_k(name):
    if name.startswith("softtorch"):
        pytest.importorskip("softtorch")
    soft, gradient = result_of(SMALL[3], name)
    torch.testing.assert_close(soft.sum(-1), torch.full((3,), 2.0))
    assert gradient.shape == soft.shape
    assert gradient.isfinite().all()
