"""A step whose costs, and their gradients, are compiled by ``torch.compile``.

Compiled is what lies between the pictures and the metrics, as one graph; autograd's own compiler
gives its backward pass. The optimizer, one fused operation, stays outside. Temperature and KL
weight are tensors that are filled in place, and the generator is named by a handle, so that
nothing is compiled twice in a run; the smaller last batch of an epoch runs eagerly.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from relaxit.noise import Handle
from relaxit.training.engines.snapshot import Snapshot
from relaxit.training.step import State, costs, train_step

__all__ = ["compile_step"]


def compile_step(state: State, index: Tensor) -> Callable[[Tensor], None]:
    """The step, compiled for batches of the size of ``index``; the run is left as it was.

    Args:
        state: of the run.
        index: rows of the training pictures, ``[B]``.

    Returns:
        A function that takes such rows and makes one update.

    Raises:
        RuntimeError: if a step changes what is no tensor.
        Exception: whatever the compiler raises; it has no common class of its errors.
    """
    # Nothing but tensors changes from step to step: to look at all else would cost 0.3 ms a step.
    options: dict[str, Any] = {"guard_filter_fn": torch.compiler.keep_tensor_guards_unsafe}
    # The compiler finds former work by the code object, so a run that is not to be taken for
    # another one has a code object of its own.
    own = FunctionType(costs.__code__.replace(), costs.__globals__)
    compiled: Any = torch.compile(own, fullgraph=True, dynamic=False, options=options)
    size = len(index)
    plain = state.source
    state.source = Handle.of(state.generator)
    before = Snapshot(state)
    try:
        loss, _ = compiled(state, index)
        loss.backward()
        before.require_tensors()
    except Exception:
        state.source = plain
        raise
    finally:
        before.restore()

    def step(index: Tensor) -> None:
        train_step(state, index, compiled if len(index) == size else costs)

    return step
