"""``Relax`` under DistributedDataParallel and fully_shard: two processes on the CPU, over gloo."""

from __future__ import annotations

import copy
import time

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import relaxit
from tests.nn.layers import ESTIMATORS

SECONDS = 120  # after which a process that hangs is stopped


def model_of(estimator, learn):
    return nn.Sequential(
        nn.Linear(4, 6),
        nn.Unflatten(-1, (2, 3)),
        relaxit.Relax("categorical", 0.7, estimator, learn),
        nn.Flatten(-2),
        nn.Linear(6, 1),
    )


def backward(model, rank):
    torch.manual_seed(rank)
    model(torch.randn(8, 4)).square().mean().backward()


def mean_gradients(model, rank):
    """Gradients of a model of its own, averaged over the processes by hand."""
    backward(model, rank)
    for parameter in model.parameters():
        dist.all_reduce(parameter.grad)
        parameter.grad /= dist.get_world_size()
    return [parameter.grad for parameter in model.parameters()]


def compare(rank, learn, estimator):
    torch.manual_seed(0)
    model = model_of(estimator, learn)
    want = mean_gradients(copy.deepcopy(model), rank)
    parallel = DistributedDataParallel(copy.deepcopy(model))
    backward(parallel, rank)
    torch.testing.assert_close([p.grad for p in parallel.parameters()], want)
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    sharded = copy.deepcopy(model)
    fully_shard(sharded[2], mesh=mesh)
    fully_shard(sharded, mesh=mesh)
    backward(sharded, rank)
    torch.testing.assert_close([p.grad.full_tensor() for p in sharded.parameters()], want)


def work(rank, size, store):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=size)
    try:
        for estimator in ESTIMATORS:
            compare(rank, False, estimator.name)
        for name in ("pathwise", "st-gumbel", "straight-through"):
            compare(rank, True, name)
    finally:
        dist.destroy_process_group()


@pytest.mark.skipif(not dist.is_available(), reason="this PyTorch has no torch.distributed")
def test_gradients_are_the_mean_over_processes(tmp_path):
    # fully_shard rejects a learned temperature of shape [], and DDP one without a gradient.
    processes = mp.start_processes(work, (2, str(tmp_path / "store")), 2, join=False)
    try:
        end = time.monotonic() + SECONDS
        while not processes.join(1.0):  # raises what a process raised
            assert time.monotonic() < end, "a process hangs"
    finally:
        for process in processes.processes:
            process.kill()
