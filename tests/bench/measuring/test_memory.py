"""Peak memory of work whose peak is known by construction."""

import os
import subprocess
import sys

import pytest
import torch

from relaxit.bench.measuring.memory import peak_bytes
from tests.conftest import needs_cuda

CPU = torch.device("cpu")


def both_at_once() -> torch.Tensor:
    first = torch.empty(1000, dtype=torch.float64)  # 8000
    second = torch.empty(2000, dtype=torch.float64)  # 24 000 together
    del first
    return second[:1]


def one_after_the_other() -> torch.Tensor:
    first = torch.empty(1000, dtype=torch.float64)
    del first
    return torch.empty(2000, dtype=torch.float64)


HELD = torch.ones(1000)  # not counted


def a_temporary() -> torch.Tensor:
    return (HELD + HELD).sum()  # 4000 and 4


def backward() -> torch.Tensor:
    x = torch.ones(1000, requires_grad=True)  # 4000
    y = x.exp()  # 8000, kept for the backward pass
    z = y.sum()  # 8004
    (gradient,) = torch.autograd.grad(z, x)  # 1 for dz, expanded without memory; y * dz: 12 008
    return gradient


def nothing() -> torch.Tensor:
    return torch.empty(0)


@pytest.mark.parametrize(
    ("call", "peak"),
    [
        (both_at_once, 24_000),
        (one_after_the_other, 16_000),
        (a_temporary, 4004),
        (backward, 12_008),
        (nothing, 0),
    ],
)
def test_known_peaks(call, peak):
    assert peak_bytes(call, CPU) == peak
    assert peak_bytes(call, CPU) == peak  # a second time too


def test_what_was_there_before_does_not_count():
    held = [torch.empty(100_000)]

    def replaces() -> torch.Tensor:
        held[0] = torch.empty(0)  # gives 400 000 bytes back
        return torch.empty(1000)

    assert peak_bytes(replaces, CPU) == 4000


@pytest.mark.gpu
@needs_cuda
def test_known_peaks_on_a_gpu():
    device = torch.device("cuda")

    def work() -> torch.Tensor:
        first = torch.empty(8192, dtype=torch.uint8, device=device)  # multiples of 512 bytes
        second = torch.empty(16_384, dtype=torch.uint8, device=device)
        del first
        return second

    assert peak_bytes(work, device) == 24_576


def test_an_unknown_device_has_no_figure():
    assert peak_bytes(nothing, torch.device("meta")) is None


def test_the_profiler_writes_nothing():
    code = "import torch; from relaxit.bench.measuring.memory import peak_bytes; " \
        "print(peak_bytes(lambda: torch.ones(3), torch.device('cpu')))"  # fmt: skip
    env = {key: value for key, value in os.environ.items() if key != "KINETO_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env
    )
    assert (done.stdout, done.stderr) == ("12\n", "")
