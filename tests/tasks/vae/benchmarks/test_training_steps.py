"""A block of steps at small sizes, and what the lower bound consists of. No time is looked at."""

from itertools import pairwise

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from relaxit.bench import BenchmarkSettings, run_benchmark
from relaxit.bench import prepare as preparation
from relaxit.tasks.vae.benchmarks.matmuls import flops, training_matmuls
from relaxit.tasks.vae.benchmarks.random_mnist import mnist_files, write_random
from relaxit.tasks.vae.benchmarks.training_steps import TrainingSteps
from tests.conftest import needs_cuda

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures")
    write_random(path, train=150, test=10)  # an epoch of two batches, the second of another size
    return path


def test_one_block_of_every_implementation(directory, monkeypatch):
    monkeypatch.setattr(preparation, "_WARM_UP_CALLS", 0)
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
    assert first.shape == (10, 2)  # both losses of every step, sums over the pictures of a batch
    assert second[::2, 0].mean() < first[::2, 0].mean()
    ours = implementations["relaxit eager float32"].make()
    before = ours().clone()
    assert ours()[0] < before[0]  # the mean loss since the beginning


@pytest.mark.parametrize(("encoder", "decoder"), [([6, 4], [4, 6]), ([9, 5, 4, 8], [8, 3, 5, 9])])
def test_products_are_those_of_a_step(encoder, decoder):
    batch = 7
    with FlopCounterMode(display=False) as counted:
        training_matmuls(encoder, decoder, batch, "float32", CPU)()
    assert counted.get_total_flops() == flops(encoder, decoder, batch)

    layers = [torch.nn.Linear(a, b, bias=False) for a, b in pairwise(encoder)]
    again = [torch.nn.Linear(a, b, bias=False) for a, b in pairwise(decoder)]
    network = torch.nn.Sequential(*layers, torch.nn.Tanh(), *again)
    with FlopCounterMode(display=False) as true:  # autograd's own: forward, backward, decoder again
        network(torch.randn(batch, encoder[0])).sum().backward()
        with torch.no_grad():
            torch.nn.Sequential(*again)(torch.randn(batch, decoder[0]))
    assert counted.get_total_flops() == true.get_total_flops()


def test_bfloat16_products_are_in_bfloat16():
    assert training_matmuls([4, 3], [3, 4], 2, "bfloat16", CPU)().dtype == torch.bfloat16


def test_random_images_go_and_given_ones_stay(directory, monkeypatch):
    from relaxit.tasks.vae.benchmarks import random_mnist

    monkeypatch.setattr(random_mnist, "write_random", lambda path: write_random(path, 3, 2))
    with mnist_files(None) as made:
        files = {path.name: path.stat().st_size for path in (made / "MNIST" / "raw").iterdir()}
    assert not made.exists()
    assert files == {
        "train-images-idx3-ubyte": 16 + 3 * 784,
        "train-labels-idx1-ubyte": 8 + 3,
        "t10k-images-idx3-ubyte": 16 + 2 * 784,
        "t10k-labels-idx1-ubyte": 8 + 2,
    }
    with mnist_files(directory) as same:
        assert same == directory
    assert directory.exists()
