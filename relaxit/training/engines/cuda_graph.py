"""A step recorded as one CUDA graph, with forward and backward pass, optimizer and sums.

A small model on a GPU is limited by kernel launches, of which there are some hundred per step; a
graph is a single launch. It replays the same kernels on the same memory, so all tensors that a step
reads or changes must keep their addresses: the indices of a batch are copied into one tensor, and
schedules fill theirs in place. The generator is registered with the graph, which then draws the
same numbers as the eager step.

Reference: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from relaxit.training.step import State, train_step

__all__ = ["record_step"]

_TRIALS = 3


def record_step(state: State, index: Tensor) -> Callable[[Tensor], None]:
    """Record the step for batches of the size of ``index``, without changing the run.

    Batches of another size are executed eagerly.

    Args:
        state: state of the run, on CUDA, with a capturable optimizer.
        index: rows of the training examples, ``[B]``.

    Returns:
        A function that takes such rows and performs one update.

    Raises:
        RuntimeError: if a step synchronises, or contains operations that cannot be recorded.
    """
    device = state.experiment.device
    rows = index.clone()
    with state.trial() as attempt:
        addresses = attempt.addresses()
        _try(state, rows)
        attempt.require_tensors()
        if attempt.addresses() != addresses:
            raise RuntimeError("a step replaces a buffer of the model with a new tensor")
    with state.trial():
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(state.generator)
        # Recording executes nothing. Memory allocated in it, gradients included, is the graph's.
        with torch.cuda.graph(graph):
            train_step(state, rows)
    torch.cuda.synchronize(device)

    def step(index: Tensor) -> None:
        if len(index) != len(rows):
            train_step(state, index)
            return
        rows.copy_(index)
        graph.replay()

    return step


def _try(state: State, rows: Tensor) -> None:
    """Run a few steps on a side stream, the last of which must not synchronise."""
    device = state.experiment.device
    side_stream = torch.cuda.Stream(device)
    side_stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side_stream):
        for _ in range(_TRIALS - 1):  # libraries are initialised, moments are allocated
            train_step(state, rows)
        with _no_waiting():
            train_step(state, rows)
    torch.cuda.current_stream(device).wait_stream(side_stream)


@contextmanager
def _no_waiting() -> Iterator[None]:
    """Context in which a synchronisation raises RuntimeError, as it would break a recording."""
    former = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(former)
