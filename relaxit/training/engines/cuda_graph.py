"""A step recorded whole as a CUDA graph: forward, backward, optimizer and sums, launched as one.

A small model on a GPU waits for launches, some hundred a step; a graph is one. It replays the same
kernels on the same memory, so that all a step reads and changes keeps its place: batches go into
one tensor of indices, and schedules fill theirs. The generator is registered with the graph, which
then draws the same numbers as the plain step.

Reference: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from relaxit.training.engines.snapshot import Snapshot
from relaxit.training.preflight import require_temperature_gradient
from relaxit.training.step import State, train_step

__all__ = ["record_step"]

_TRIALS = 3


def record_step(state: State, index: Tensor) -> Callable[[Tensor], None]:
    """The step, recorded for batches of the size of ``index``; the run is left as it was.

    Batches of another size are not replayed but run operation by operation.

    Args:
        state: of the run, on CUDA, with an optimizer that is capturable.
        index: rows of the training pictures, ``[B]``.

    Returns:
        A function that takes such rows and makes one update.

    Raises:
        ConfigurationError: as :func:`require_temperature_gradient`.
        RuntimeError: if a step waits for the device, or does what cannot be recorded.
    """
    device = state.experiment.device
    rows = index.clone()
    before = Snapshot(state)
    places = _places(state)
    try:
        _try(state, rows)
        # Here, as the gradients of a replay are the graph's own.
        require_temperature_gradient(state.experiment, state.experiment.temperature.parameters())
        before.require_tensors()
        if _places(state) != places:
            raise RuntimeError("a step puts a new tensor in the place of a buffer of the model")
        before.restore()
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(state.generator)
        # Recording runs nothing. What it allocates stays the graph's own, gradients included.
        with torch.cuda.graph(graph):
            train_step(state, rows)
    finally:
        before.restore()
    torch.cuda.synchronize(device)

    def step(index: Tensor) -> None:
        if len(index) != len(rows):
            train_step(state, index)
            return
        rows.copy_(index)
        graph.replay()

    return step


def _try(state: State, rows: Tensor) -> None:
    """A few steps beside the main stream, the last of which must not wait for the device."""
    device = state.experiment.device
    beside = torch.cuda.Stream(device)
    beside.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(beside):
        for _ in range(_TRIALS - 1):  # libraries set themselves up, moments are allocated
            train_step(state, rows)
        with _no_waiting():
            train_step(state, rows)
    torch.cuda.current_stream(device).wait_stream(beside)


@contextmanager
def _no_waiting() -> Iterator[None]:
    """Context in which to wait for the device is a RuntimeError, before a recording is spoilt."""
    former = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(former)


def _places(state: State) -> list[int]:
    """Where buffers lie that a step may change."""
    e = state.experiment
    return [each.data_ptr() for module in (e.model, e.temperature) for each in module.buffers()]
