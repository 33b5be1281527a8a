"""A warm-up that lets PyTorch's log1p and expm1 run at full speed.

With AVX-512 their vector code ends in loads of constants that only special arguments need, under a
mask that is empty for all others. If the page of the library with such a constant has not been
mapped into the process, a load under an empty mask neither fails nor maps the page, but takes a
slow path in the processor each time: 8 to 15 ns per number instead of 0.8. This ends when something
reads from that page. ``torch.lgamma`` or ``torch.pow`` may do so by accident, and whether the page
is mapped from the start depends on the build and on chance (seen with PyTorch 2.10, 2.11 and 2.14).

So the special arguments are evaluated once per process. Pages of files are not mapped in a forked
child process, where it is done again.
"""

from __future__ import annotations

import math
import os

import torch

__all__ = ["warm_up_log1p"]

_SPECIAL = (-0.0, -1.0, -2.0, -1e3, 1e3, math.inf, math.nan)
_quick = False


def warm_up_log1p() -> None:
    """Make log1p and expm1 fast for the rest of the process; later calls cost nothing."""
    global _quick
    if _quick or torch.compiler.is_compiling():
        return
    for dtype in (torch.float32, torch.float64):
        special = torch.tensor(_SPECIAL, dtype=dtype, device="cpu")
        special.log1p(), special.expm1()
    _quick = True


def _forget() -> None:
    global _quick
    _quick = False


warm_up_log1p()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
