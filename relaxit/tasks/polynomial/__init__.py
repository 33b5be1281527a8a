"""Polynomial programming over independent bits: a task whose optimum is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit.tasks.polynomial.constant import Constant as Constant
    from relaxit.tasks.polynomial.task import Polynomial as Polynomial

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit.tasks.polynomial.constant": ["Constant"],
        "relaxit.tasks.polynomial.task": ["Polynomial"],
    },
)
