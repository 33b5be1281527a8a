"""Whether torch.compile works here."""

from __future__ import annotations

from functools import cache

import torch

from relaxit.errors import error_summary

__all__ = ["cannot_compile"]


@cache
def cannot_compile(device: torch.device) -> str:
    """Return why nothing can be compiled for a device (no C++ compiler, say); empty if it can.

    Compiles a function of one line, once per process.
    """
    try:
        torch.compile(lambda x: x.exp() + 1, fullgraph=True)(torch.ones(8, device=device))
    except Exception as error:
        return f"torch.compile does not work here: {error_summary(error)}"
    return ""
