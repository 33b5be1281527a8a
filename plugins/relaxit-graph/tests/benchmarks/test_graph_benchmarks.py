"""The benchmarks of graphs and sequences run at small sizes, and their errors are right.

No test depends on a time.
"""

from __future__ import annotations

import pytest
import torch

from relaxit.bench import BenchmarkSettings, run_benchmark
from relaxit.plugins.registry import default_registry
from relaxit_graph.arborescences.arborescence import Arborescence
from relaxit_graph.benchmarks.baselines import (
    chain_marginals,
    determinant_marginals,
    inverse_marginals,
    trees_by_scipy,
)
from relaxit_graph.benchmarks.sequences import ChainDraw, ChainMarginals, SubsetBySums
from relaxit_graph.benchmarks.trees import (
    ArborescenceMarginals,
    HardTrees,
    TreeDraw,
    TreeMarginals,
)
from relaxit_graph.programs.chain import Chain
from relaxit_graph.trees.spanning_tree import SpanningTree

CPU = torch.device("cpu")
EXACT = [
    TreeMarginals(batch=3, nodes=5),
    ArborescenceMarginals(batch=3, nodes=5),
    HardTrees(batch=3, nodes=5),
    ChainMarginals(batch=3, length=4, states=3),
    SubsetBySums(batch=3, n=6, k=2),
]
SMALL = [
    *EXACT,
    TreeDraw(batch=3, nodes=5),
    ChainDraw(batch=3, length=4, states=3),
]
ABSENT = ("torch-struct", "pyro, looped")


def measured(benchmark):
    settings = BenchmarkSettings(rounds=1, seconds=0, compiled=False)
    report = run_benchmark(benchmark, CPU, settings)
    assert report.reason == ""
    return {each.name: each for each in report.measurements}


@pytest.mark.parametrize("benchmark", SMALL, ids=lambda each: each.name)
def test_each_is_registered_and_runs(benchmark):
    assert default_registry().items("benchmark")[benchmark.name] is type(benchmark)
    for name, each in measured(benchmark).items():
        if each.compiled or name in ABSENT:
            assert each.outcome in ("skipped", "done"), each.reason
        else:
            assert each.outcome == "done", each.reason


@pytest.mark.parametrize("benchmark", EXACT, ids=lambda each: each.name)
def test_the_errors_of_exact_implementations_are_those_of_rounding(benchmark):
    measurements = measured(benchmark)
    measurements.pop("torch-struct", None)  # adds 1e-5 to the weights of directed trees
    done = [each for each in measurements.values() if each.outcome == "done"]
    assert len(done) >= 2
    for each in done:
        assert each.error.relative < 1e-5, each.name


@pytest.mark.parametrize(
    "benchmark", [TreeDraw(batch=4000, nodes=4), ChainDraw(batch=4000, length=3, states=2)]
)
def test_the_error_of_samples_is_their_noise(benchmark):
    # The means of 4000 zeros and ones, 0.008 standard deviations each; 16 of them beyond 6 of
    # those have a probability of 1e-7.
    for each in measured(benchmark).values():
        if each.outcome == "done" and each.name not in ABSENT:
            assert 0 < each.error.absolute < 0.05, each.name


def test_baselines_are_right():
    scores = torch.randn(3, 5, 5, dtype=torch.float64)
    scores = scores + scores.mT
    trees = SpanningTree(nodes=5)
    torch.testing.assert_close(inverse_marginals(scores), trees.discrete(scores).mean)
    assert torch.equal(trees_by_scipy(scores), trees.argmax(scores))
    arcs = torch.randn(3, 5, 5, dtype=torch.float64)
    several = Arborescence(nodes=5, roots="multiple")
    torch.testing.assert_close(determinant_marginals(arcs), several.discrete(arcs).mean)
    chain = Chain(length=4, states=3)
    unary, pair = torch.randn(2, 4, 3), torch.randn(2, 3, 3, 3)
    mean = chain.discrete(chain.join(unary=unary, pair=pair)).mean
    torch.testing.assert_close(chain_marginals(unary, pair), mean)
