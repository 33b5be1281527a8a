"""Threads are set and put back, and the age of the process is known."""

import pytest
import torch

from relaxit.bench.measuring.machine import seconds_since_start, setting, threads
from tests.bench.made_benchmarks import CPU


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
