"""Large draws of uniform numbers: distribution, grid, and that threads do not matter."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from relaxit.noise import sfc64
from relaxit.testing import wrong_frequencies
from tests.helpers import seed

TWO_AND_A_BIT = 2 * sfc64.BLOCK + 77  # blocks of a draw
EACH_DTYPE = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def draw(number, dtype=torch.float32, of=0):
    return sfc64.fill_uniform(torch.empty(number, dtype=dtype), seed(of))


@EACH_DTYPE
def test_distribution_near_both_ends(dtype):
    # Cells of 2^-4 ... 2^-17 at each end and 64 between. alpha = 2e-5.
    ends = 2.0 ** -np.arange(17, 3, -1)
    edges = np.concatenate([[0], ends, np.linspace(1 / 16, 15 / 16, 65)[1:-1], 1 - ends[::-1], [1]])
    counts = np.histogram(draw(1 << 21, dtype, 1).double().numpy(), bins=edges)[0]
    assert not wrong_frequencies(torch.from_numpy(counts), torch.tensor(np.diff(edges)))


@EACH_DTYPE
def test_neighbours_and_blocks_are_independent(dtype):
    # Pairs at several distances, one of them a block, on an 8 x 8 grid. alpha = 2e-5 each.
    u = draw(1 << 20, dtype, 2)
    for lag in (1, 2, 3, 16, sfc64.BLOCK):
        cells = (u[:-lag] * 8).long() * 8 + (u[lag:] * 8).long()
        counts = torch.bincount(cells, minlength=64)
        assert not wrong_frequencies(counts, torch.full((64,), 1 / 64))


@EACH_DTYPE
@pytest.mark.parametrize("ones", [False, True])
def test_ends_of_the_generator(dtype, ones, monkeypatch):
    class End:
        def __init__(self, seed):
            pass

        def random_raw(self, size):
            return np.full(size, 2**64 - 1 if ones else 0, dtype=np.uint64)

    monkeypatch.setattr(np.random, "SFC64", End)
    u = draw(sfc64.BLOCK + 8, dtype)
    assert bool((u > 0).all() & (u < 1).all())
    assert (u > 0.5).all() == ones
    finest = 2.0**-32 if dtype == torch.float32 else 2.0**-54
    assert ones or (u == finest).all()


@EACH_DTYPE
def test_distribution_of_a_single_block(dtype):
    # Bits of PyTorch's own. alpha = 2e-5.
    source = seed(7)
    parts = [sfc64.fill_uniform(torch.empty(1001, dtype=dtype), source) for _ in range(500)]
    u = torch.cat(parts)
    counts = torch.histc(u, bins=64, min=0, max=1)
    assert not wrong_frequencies(counts, torch.full((64,), 1 / 64))
    assert len(u.unique()) > 0.999 * len(u) * (1 if dtype == torch.float64 else 0.99)
    halves = torch.stack([u[0::2] < 0.5, u[1::2] < 0.5]).double()
    assert abs(torch.corrcoef(halves)[0, 1]) < 0.0085  # 4.3 standard errors


@EACH_DTYPE
@pytest.mark.parametrize("number", [1, 3, sfc64.BLOCK, TWO_AND_A_BIT])
def test_threads_change_nothing(dtype, number, monkeypatch):
    alone = draw(number, dtype, 3)
    with ThreadPoolExecutor(3) as pool:
        monkeypatch.setattr(sfc64, "thread_pool", lambda: pool)
        monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
        assert torch.equal(alone, draw(number, dtype, 3))
    assert alone.shape == (number,)
    assert len(alone.unique()) > 0.99 * number


def test_no_more_threads_than_torch_has(monkeypatch):
    for threads in range(1, min(3, 1 + os.cpu_count()) + 1):
        at_work, meeting = set(), threading.Barrier(threads)

        def fill(block, seed, at_work=at_work, meeting=meeting):
            at_work.add(threading.get_ident())
            meeting.wait(60)  # none goes on to another block before each has one

        monkeypatch.setattr(sfc64, "fill_block", fill)
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        draw(12 * sfc64.BLOCK)
        assert len(at_work) == threads
        assert threading.get_ident() in at_work


def test_seeds():
    assert torch.equal(draw(1000, of=4), draw(1000, of=4))
    assert (draw(1000, of=4) != draw(1000, of=5)).float().mean() > 0.99
    source = seed(4)
    first = sfc64.fill_uniform(torch.empty(1000), source)
    assert (first != sfc64.fill_uniform(torch.empty(1000), source)).float().mean() > 0.99


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_draws_as_well(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    right = draw(TWO_AND_A_BIT, of=6)  # the pool has threads now
    child = os.fork()
    if child == 0:
        os._exit(0 if torch.equal(right, draw(TWO_AND_A_BIT, of=6)) else 1)
    for _ in range(600):  # a child that waits for threads it does not have would do so for ever
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        threading.Event().wait(0.1)
    else:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert done
    assert status == 0
