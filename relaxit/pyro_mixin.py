"""Makes distributions usable in Pyro as they are, without importing Pyro.

Pyro enumerates, masks and broadcasts only instances of its ``TorchDistributionMixin``, and anything
else that can be called it merely samples. The mixin is an abstract base class, so a class can be
registered as a subclass of it from outside.
"""

from __future__ import annotations

import sys
from typing import Any

import torch

__all__ = ["join_pyro"]


def join_pyro(cls: type) -> None:
    """Register a class of distributions with Pyro, if Pyro has been imported, and once.

    The class gets those methods of Pyro's mixin that it lacks: ``__call__``, ``mask``,
    ``to_event``, ``expand_by``, ``shape``, ``event_dim`` and a few more.

    Args:
        cls: a subclass of ``torch.distributions.Distribution``; its subclasses are included.
    """
    if torch.compiler.is_compiling():
        return
    module = sys.modules.get("pyro.distributions.torch_distribution")
    mixin: Any = getattr(module, "TorchDistributionMixin", None)
    if mixin is None or "to_event" in vars(cls):
        return
    own = {name for base in cls.__mro__[:-1] for name in vars(base)}
    for base in reversed(mixin.__mro__[:-1]):
        for name, member in vars(base).items():
            if name not in own and (name == "__call__" or not name.startswith("_")):
                setattr(cls, name, member)
    mixin.register(cls)
