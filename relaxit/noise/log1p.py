"""PyTorch's log1p and expm1 at the speed that they have.

With AVX-512 their vector code ends in loads of constants that only special arguments need, under a
mask that is empty for all others. Where the page of the library with such a constant has not been
mapped into the process, a load under an empty mask neither fails nor maps it, but takes a slow path
in the processor, every time: 8 to 15 ns a number instead of 0.8. It ends when something reads from
that page; ``torch.lgamma`` or ``torch.pow`` may do so by accident, and whether the page is there
from the start depends on the build and on chance (seen with PyTorch 2.10, 2.11 and 2.14).

So the special arguments are computed, once in a process. Pages of files are not mapped in a forked
child, where it is done again.
"""

from __future__ import annotations

import math
import os

import torch

__all__ = ["warm_up_log1p"]

_SPECIAL = (-0.0, -1.0, -2.0, -1e3, 1e3, math.inf, math.nan)
_quick = False


def warm_up_log1p() -> None:
    """Make log1p and expm1 quick for the rest of the process; costs nothing from then on."""
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
