"""The benchmarks run at small sizes, and their errors are right.

No test depends on a time.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import sys

import pytest
import torch
from torch import Tensor

from relaxit.bench import Benchmark, BenchmarkSettings, run_benchmark
from relaxit.bench import prepare as preparation
from relaxit.cli.app import run as relaxit_command
from relaxit.plugins.registry import default_registry
from relaxit_permutation.benchmarks.matrices import (
    HardMatching,
    SinkhornConvergence,
    SinkhornIterations,
)
from relaxit_permutation.benchmarks.sorting import SoftRanks, SoftSorting
from relaxit_permutation.matrices.assignment import assign
from relaxit_permutation.sinkhorn.operator import residual

CPU = torch.device("cpu")
BASELINES = {"diffsort": ["diffsort, odd-even", "diffsort, bitonic"]}
BASELINES["torchsort"] = ["torchsort, l2", "torchsort, kl"]
SOFTTORCH = ["softsort", "neuralsort", "ot", "sorting_network", "fast_soft_sort"]
BASELINES["softtorch"] = [f"softtorch, {method}" for method in SOFTTORCH]
SMALL = [
    SinkhornIterations(batch=3, n=4, iterations=20),
    SinkhornConvergence(batch=3, n=4, cap=50),
    HardMatching(batch=3, n=4),
    SoftSorting(batch=3, n=4),
    SoftRanks(batch=3, n=4),
]
EACH = pytest.mark.parametrize("benchmark", SMALL, ids=lambda each: each.name)


def measured(benchmark: Benchmark) -> dict:
    report = run_benchmark(benchmark, CPU, BenchmarkSettings(rounds=1, seconds=0, compiled=False))
    assert report.reason == ""
    return {each.name: each for each in report.measurements}


def result_of(benchmark: Benchmark, name: str):
    (found,) = [each for each in benchmark.implementations(CPU) if each.name == name]
    return found.make()()


def absent(name: str) -> bool:
    return importlib.util.find_spec(name) is None


def implicit_gradient(soft: Tensor, vector: Tensor) -> Tensor:
    """By the whole singular system for the multipliers of rows and columns, one matrix."""
    m, n = soft.shape
    above = torch.cat([soft.sum(1).diag(), soft], 1)
    below = torch.cat([soft.T, soft.sum(0).diag()], 1)
    flow = soft * vector
    found = torch.linalg.pinv(torch.cat([above, below]), hermitian=True) @ torch.cat(
        [flow.sum(1), flow.sum(0)]
    )
    return flow - soft * (found[:m, None] + found[None, m : m + n])


# --- that they run ----------------------------------------------------------------------------


def test_they_are_registered():
    found = default_registry().items("benchmark")
    for each in SMALL:
        assert found[each.name] is type(each)
        assert each.structure == "permutation"


@EACH
def test_each_runs_and_only_absent_baselines_are_skipped(benchmark):
    missing = {
        baseline for name, baselines in BASELINES.items() if absent(name) for baseline in baselines
    }
    for name, each in measured(benchmark).items():
        if each.compiled or name in missing:
            assert each.outcome == "skipped"
            assert each.reason
            continue
        assert each.outcome == "done", each.reason
        assert each.seconds is not None
        assert each.ratio is not None
        assert each.error is not None
        assert each.error.not_finite == 0


def test_all_run_through_the_command(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    names = [each.name for each in SMALL]
    sizes = ["-o", "batch=2", "-o", "n=4", "--rounds", "1", "--seconds", "0", "--device", "cpu"]
    assert relaxit_command(["bench", "structures", *names, *sizes, "--no-compile", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["benchmarks"]
    assert [each["name"] for each in found] == names
    for benchmark in found:
        outcomes = {each["name"]: each["outcome"] for each in benchmark["implementations"]}
        assert "failed" not in outcomes.values()
        assert outcomes[benchmark["reference"]] == "done"
    assert relaxit_command(["show", "sinkhorn-iterations"]) == 0
    assert "Sinkhorn iterations" in capsys.readouterr().out


@pytest.mark.parametrize(("package", "baselines"), BASELINES.items())
def test_a_baseline_that_is_not_installed_is_skipped_with_the_reason(
    package, baselines, monkeypatch
):
    monkeypatch.setitem(sys.modules, package, None)
    found = measured(SoftSorting(batch=2, n=4)) | measured(SoftRanks(batch=2, n=4))
    for name in baselines:
        assert found[name].outcome == "skipped"
        assert found[name].reason == f"{package} is not installed"
    assert found["softsort"].outcome == "done"


def test_compiled_ones_agree_with_the_eager_ones(monkeypatch):
    # Traced in one graph with its backward pass; kernels are not written, which takes a minute.
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    monkeypatch.setattr(preparation, "cannot_compile", lambda device: "")
    benchmark = SinkhornIterations(batch=2, n=4, iterations=3)
    measurements = run_benchmark(
        benchmark, CPU, BenchmarkSettings(rounds=1, seconds=0)
    ).measurements
    found = {each.name: each for each in measurements}
    for form in ("log form", "sinkhorn"):
        compiled = found[f"{form} compiled"]
        assert compiled.outcome == "done", compiled.reason
        assert compiled.error.absolute == pytest.approx(found[form].error.absolute, abs=1e-5)


def test_the_unrolled_form_is_not_compiled_for_minutes():
    benchmark = SinkhornIterations(batch=2, n=4, iterations=21)
    settings = BenchmarkSettings(
        rounds=1, seconds=0, only=frozenset({"log form", "log form compiled"})
    )
    plain, compiled = run_benchmark(benchmark, CPU, settings).measurements
    assert (plain.outcome, compiled.outcome) == ("done", "skipped")


# --- their errors -----------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [1.0, 0.2])
def test_the_oracle_of_the_iterations_is_the_limit(temperature):
    """Its sums are right, and it is the exponential of the scores scaled by rows and columns.

    Of such matrices there is one. At 0.2 the log form is not near it after 100 000 iterations.
    """
    benchmark = SinkhornIterations(batch=3, n=5, temperature=temperature)
    found, gradient = benchmark.oracle(CPU)
    x, vector = (part.double() for part in benchmark.scores_and_gradient(CPU))
    assert residual(found).max() < 1e-12
    shifts = found.log() - x / temperature
    across = shifts[:, 1:] - shifts[:, :1]
    torch.testing.assert_close(across, across[..., :1].expand_as(across), atol=1e-12, rtol=1e-12)
    expected = torch.stack([implicit_gradient(*each) for each in zip(found, vector, strict=True)])
    torch.testing.assert_close(gradient * temperature, expected, atol=1e-9, rtol=0)


def test_few_iterations_are_far_from_the_limit_and_many_near():
    few = measured(SinkhornIterations(batch=3, n=5, iterations=2))
    many = measured(SinkhornIterations(batch=3, n=5, iterations=500))
    for name in ("log form", "sinkhorn"):
        assert few[name].error.absolute > 0.01 > 1e-4 > many[name].error.absolute
    assert few["sinkhorn, default"].error.absolute < 1e-4


def test_all_converge_where_that_is_easy_and_newton_where_it_is_not():
    easy = measured(SinkhornConvergence(batch=3, n=5, temperature=1.0))
    assert all(each.error.absolute <= 1.1e-4 for each in easy.values())
    hard = measured(SinkhornConvergence(batch=3, n=8, temperature=0.02, cap=20))
    assert hard["log form"].error.absolute > 1e-2
    assert hard["sinkhorn"].error.absolute <= 1.1e-4


def test_the_error_is_that_of_the_sums():
    benchmark = SinkhornConvergence(batch=2, n=4, cap=10, temperature=0.05)
    soft = result_of(benchmark, "log form").double()
    off = max((soft.sum(-1) - 1).abs().max(), (soft.sum(-2) - 1).abs().max())
    assert measured(benchmark)["log form"].error.absolute == pytest.approx(float(off))


def test_a_matching_that_is_not_the_best_has_an_error():
    benchmark = HardMatching(batch=3, n=4)
    (x,) = benchmark.inputs(CPU)
    best = benchmark.oracle(CPU)
    torch.testing.assert_close(benchmark.compared(assign(x)), best)
    assert (benchmark.compared(assign(-x)) < best).all()


def test_soft_matrices_are_those_that_sort_in_descending_order():
    benchmark = SoftSorting(batch=3, n=5, temperature=1e-3, scale=10.0)
    (x,) = benchmark.inputs(CPU)
    want = x.sort(descending=True).values
    for each in benchmark.implementations(CPU):
        # The networks round off slowly, and unrolled iterations do not get there.
        if each.name.startswith("log form") or (each.baseline and absent(each.baseline)):
            continue
        soft, gradient = each.make()()
        torch.testing.assert_close((soft @ x[..., None]).squeeze(-1), want, atol=0.05, rtol=0)
        assert gradient.shape == x.shape


def test_the_log_form_sorts_as_sinkhorn_does():
    benchmark = SoftSorting(batch=3, n=5, temperature=2.0)
    published, ours = (result_of(benchmark, f) for f in ("log form, 100 iterations", "sinkhorn"))
    for one, other in zip(published, ours, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0)


def test_soft_ranks_are_near_the_ranks():
    benchmark = SoftRanks(batch=3, n=5, temperature=1e-3, scale=10.0)
    (x,) = benchmark.inputs(CPU)
    want = x.argsort().argsort() + 1.0
    for each in benchmark.implementations(CPU):
        if each.name.startswith("log form") or (each.baseline and absent(each.baseline)):
            continue
        ranks, gradient = each.make()()
        torch.testing.assert_close(ranks, want, atol=0.05, rtol=0)
        assert gradient.shape == x.shape


def test_the_error_of_soft_ranks_is_their_distance_from_the_ranks():
    benchmark = SoftRanks(batch=3, n=5)
    (x,) = benchmark.inputs(CPU)
    ranks = torch.stack([torch.searchsorted(row.sort().values, row) + 1.0 for row in x])
    assert torch.equal(benchmark.compared((ranks, x)), benchmark.oracle(CPU))
    shifted = ranks + torch.tensor([1.0, -1.0, 1.0, -1.0, 0.0])  # the mean is that of the ranks
    torch.testing.assert_close(
        benchmark.compared((shifted, x)), torch.full((3,), 0.8, dtype=torch.float64)
    )


def test_rows_alone_sum_to_one_where_that_is_said():
    found = measured(SoftSorting(batch=3, n=6, temperature=0.5))
    assert found["sinkhorn"].error.absolute < 1e-4 < 0.01 < found["softsort"].error.absolute
