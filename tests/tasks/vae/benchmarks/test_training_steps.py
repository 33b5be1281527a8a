"""A block of steps at small sizes. No time is looked at."""

import pytest
import torch

from relaxit.bench import BenchmarkSettings, run_benchmark
from relaxit.tasks.vae.benchmarks.training_steps import TrainingSteps
from tests.conftest import needs_cuda

CPU = torch.device("cpu")


def test_one_block_of_every_implementation(directory):
    benchmark = TrainingSteps(steps=1, data_dir=str(directory))
    settings = BenchmarkSettings(rounds=1, seconds=0, compiled=False)
    report = run_benchmark(benchmark, CPU, settings)
    found = {each.name: each for each in report.measurements}
    assert report.reason == ""
    assert {name: each.outcome for name, each in found.items() if not each.compiled} == {
        "tutorial": "done",
        "relaxit eager float32": "done",
        "relaxit eager bfloat16": "done",
        "products float32": "done",
        "products bfloat16": "done",
    }
    assert {each.reason for each in found.values() if each.compiled} == {
        "compiled implementations were not requested"
    }
    assert report.reference == "tutorial"
    assert list(report.lower_bound.parts) == ["products float32"]
    assert found["products float32"].times_lower_bound == 1
    assert found["tutorial"].baseline == "tutorial"


def test_a_gpu_has_graphs_and_tf32(directory):
    def ours(device: str) -> set[str]:
        found = TrainingSteps(data_dir=str(directory)).implementations(torch.device(device))
        return {each.name for each in found if each.name.startswith("relaxit")}

    engines, precisions = ("eager", "compile", "graph"), ("float32", "tf32", "bfloat16")
    assert ours("cuda") == {f"relaxit {e} {p}" for e in engines for p in precisions}
    assert ours("cpu") == {f"relaxit {e} {p}" for e in engines[:2] for p in precisions[::2]}


@pytest.mark.gpu
@needs_cuda
def test_one_block_of_every_implementation_on_a_gpu(directory):
    benchmark = TrainingSteps(steps=2, data_dir=str(directory))
    report = run_benchmark(benchmark, torch.device("cuda"), BenchmarkSettings(rounds=1, seconds=0))
    assert {each.name: each.reason for each in report.measurements if each.reason} == {}


def test_each_call_goes_on_with_the_training(directory):
    benchmark = TrainingSteps(steps=10, data_dir=str(directory))
    implementations = {each.name: each for each in benchmark.implementations(CPU)}
    script = implementations["tutorial"].make()
    first, second = script(), script()
    assert first.shape == (10, 2)  # both losses of every step, sums over the images of a batch
    assert second[::2, 0].mean() < first[::2, 0].mean()
    ours = implementations["relaxit eager float32"].make()
    before = ours().clone()
    assert ours()[0] < before[0]  # the mean loss since the beginning
