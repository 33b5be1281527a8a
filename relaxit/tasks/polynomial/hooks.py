"""Polynomial programming: a task whose optimum is known, and the data set of its targets."""

from __future__ import annotations

from typing import Any

from relaxit.hooks import hookimpl

__all__ = ["relaxit_datasets", "relaxit_tasks"]


@hookimpl
def relaxit_tasks() -> list[type[Any]]:
    from relaxit.tasks.polynomial.task import Polynomial

    return [Polynomial]


@hookimpl
def relaxit_datasets() -> list[type[Any]]:
    from relaxit.tasks.polynomial.constant import Constant

    return [Constant]
