"""The built-in estimators, one method a file, through the same hook as everyone's."""

from __future__ import annotations

from typing import Any

from relaxit.hookspecs import hookimpl

__all__ = ["relaxit_estimators"]


@hookimpl
def relaxit_estimators() -> list[type[Any]]:
    from relaxit.estimators.pathwise import Pathwise
    from relaxit.estimators.st_gumbel import StraightThroughGumbel
    from relaxit.estimators.straight_through import StraightThrough

    return [Pathwise, StraightThrough, StraightThroughGumbel]
