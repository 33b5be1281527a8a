"""Weights to share (safetensors) and the state to resume from (read with ``weights_only``)."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from torch import nn

from relaxit.errors import CheckpointError, one_line
from relaxit.files import write_atomically

__all__ = ["load_model", "load_state", "save_model", "save_state"]


def save_model(model: nn.Module, path: Path) -> None:
    """Write the weights as safetensors, atomically."""
    from safetensors.torch import save

    tensors = {name: t.detach().cpu().contiguous() for name, t in model.state_dict().items()}
    write_atomically(path, save(tensors))


def load_model(model: nn.Module, path: Path) -> None:
    """Read weights into a model of the same architecture.

    Raises:
        CheckpointError: if the file is missing or damaged, or the architecture differs.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise CheckpointError(f"{path} is missing: the run has no weights yet")
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {one_line(error)}") from error
    current = model.state_dict()
    for name in sorted(current.keys() | tensors.keys()):
        ours = list(current[name].shape) if name in current else "absent"
        theirs = list(tensors[name].shape) if name in tensors else "absent"
        if ours != theirs:
            raise CheckpointError(
                f"{path} is of another architecture: {name} is {theirs} in the file, "
                f"{ours} in the model"
            )
    model.load_state_dict(tensors)


def save_state(state: dict[str, Any], path: Path) -> None:
    """Write tensors and plain values, atomically."""
    buffer = io.BytesIO()
    torch.save(_compact(state), buffer)
    write_atomically(path, buffer.getvalue())


def _compact(value: Any) -> Any:
    """Copy views, since a view would be saved with the whole storage behind it."""
    if isinstance(value, torch.Tensor):
        return value.clone() if value.untyped_storage().nbytes() > value.nbytes else value
    if isinstance(value, dict):
        return {key: _compact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_compact(item) for item in value)
    return value


def load_state(path: Path) -> dict[str, Any]:
    """Read a file that :func:`save_state` wrote. Code in the file is never run.

    Raises:
        CheckpointError: if the file is missing or damaged.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is missing: the run cannot be continued")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load may raise any error of its parser
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path} is damaged or unsafe to load: {reason}") from error
    return state
