"""Benchmarks made of a few implementations, each of which takes as long as its result is large."""

import torch

from relaxit.bench import Benchmark, BenchmarkSettings, Implementation, Rates, run_benchmark
from tests.bench.implementations import Clock

CPU = torch.device("cpu")
RATES = Rates(((1, 100.0),), random_numbers=10.0, flops=1.0)


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
