"""Lower bounds computed by hand from made-up rates, and rates that a fake clock gives."""

import pytest
import torch

from relaxit.bench import Needs, Rates, measure_rates
from relaxit.bench.lower_bound import lower_bound_of
from tests.conftest import needs_cuda

CPU = torch.device("cpu")
CACHES = ((100, 50.0), (1000, 20.0), (10_000, 5.0))
RATES = Rates(CACHES, random_numbers=4.0, flops=8.0)


@pytest.mark.parametrize(
    ("needs", "parts"),
    [
        (Needs(), {}),
        (Needs(bytes=50), {"memory": 1.0}),  # smaller than all that was measured
        (Needs(bytes=100), {"memory": 2.0}),
        (Needs(bytes=999), {"memory": 999 / 50}),
        (Needs(bytes=1000), {"memory": 50.0}),
        (Needs(bytes=20_000), {"memory": 4000.0}),
        (Needs(random_numbers=2), {"random numbers": 0.5}),
        (Needs(flops=4), {"matrix products": 0.5}),
        (Needs(launches=3), {}),  # free where nothing is launched
        (Needs(50, 8, 4, 3), {"memory": 1.0, "random numbers": 2.0, "matrix products": 0.5}),
    ],
)
def test_the_lower_bound_is_the_longest_part(needs, parts):
    lower_bound = lower_bound_of(needs, RATES)
    assert lower_bound.parts == parts
    assert lower_bound.seconds == max(parts.values(), default=0.0)


def test_launches_count_where_there_are_any():
    rates = Rates(CACHES, random_numbers=4.0, flops=8.0, launches=2.0)
    assert lower_bound_of(Needs(bytes=50, launches=3), rates).parts == {
        "memory": 1.0,
        "launches": 1.5,
    }


def test_a_small_copy_that_is_slow_lowers_no_rate():
    # Of a GPU: a small copy is all latency, and its rate would make the lower bound too high.
    rates = Rates(((100, 1.0), (1000, 20.0), (10_000, 5.0)), 1.0, 1.0)
    assert [rates.copy(moved) for moved in (10, 500, 5000, 50_000)] == [20.0, 20.0, 20.0, 5.0]


def test_rates_are_those_of_the_fastest_repetition():
    times = {}  # of each kind of work, by how many calls it has had

    def timer(call) -> float:
        call()
        times[call.__code__] = count = times.get(call.__code__, 0) + 1
        return {1: 1e-3, 2: 4.0, 3: 2.0}.get(count, 3.0)

    before = torch.get_rng_state()
    rates = measure_rates(CPU, timer)
    assert torch.equal(torch.get_rng_state(), before)
    assert rates.copies[0] == (2**20, 2**19)  # the first does not count: 2 s, for 2**20 bytes
    assert rates.flops == 2 * 1024**3 / 2
    assert rates.launches is None
    assert rates.random_numbers == max(2**16 / 2, 2**20 / 3)


@pytest.mark.gpu
@needs_cuda
def test_a_gpu_has_launches():
    rates = measure_rates(torch.device("cuda"))
    assert min(rates.launches, rates.flops, rates.random_numbers, rates.copy(1)) > 0
