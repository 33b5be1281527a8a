"""The built-in plugin: categorical and binary variables.

It comes through relaxit's own entry point, by the same door as every other plugin, and uses public
names only.
"""

from __future__ import annotations

from relaxit import Relaxation, hookimpl

__all__ = ["relaxit_relaxations"]


@hookimpl
def relaxit_relaxations() -> list[type[Relaxation]]:
    from relaxit.categorical.binary import Binary
    from relaxit.categorical.relaxation import Categorical

    return [Categorical, Binary]
