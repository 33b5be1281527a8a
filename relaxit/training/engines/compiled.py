"""A step whose costs and gradients are compiled by ``torch.compile``.

All operations from the examples to the metrics are compiled as one graph, and AOTAutograd generates
its backward pass. The optimizer, one fused operation, stays outside. Temperatures and schedules are
tensors that are filled in place, and the generator is passed as a handle, so that nothing is
compiled twice in a run. The smaller last batch of an epoch runs eagerly.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from relaxit.noise import Handle
from relaxit.training.step import State, costs, train_step

__all__ = ["compile_step"]


def compile_step(state: State, index: Tensor) -> Callable[[Tensor], None]:
    """Compile the step for batches of the size of ``index``, without changing the run.

    Args:
        state: state of the run.
        index: rows of the training examples, ``[B]``.

    Returns:
        A function that takes such rows and performs one update.

    Raises:
        RuntimeError: if a step changes an attribute of the model that is not a tensor.
        Exception: any error of the compiler; its errors have no common base class.
    """
    # Only tensors change from step to step, and guards on all else would cost 0.3 ms per step.
    options: dict[str, Any] = {"guard_filter_fn": torch.compiler.keep_tensor_guards_unsafe}
    # The compiler caches by code object: with a code object of its own, a run never reuses the
    # compiled code of another run.
    copied_costs = FunctionType(costs.__code__.replace(), costs.__globals__)
    compiled: Any = torch.compile(copied_costs, fullgraph=True, dynamic=False, options=options)
    size = len(index)
    eager_source = state.source
    state.source = Handle.of(state.generator)
    try:
        with state.trial() as attempt:
            loss, _ = compiled(state, index)
            loss.backward()
            attempt.require_tensors()
    except Exception:
        state.source = eager_source
        raise

    def step(index: Tensor) -> None:
        train_step(state, index, compiled if len(index) == size else costs)

    return step
