"""The variational autoencoder: the built-in task, registered in the same way as any other."""

from __future__ import annotations

from typing import Any

from relaxit.hooks import hookimpl

__all__ = ["relaxit_gradient_problems", "relaxit_tasks"]


@hookimpl
def relaxit_tasks() -> list[type[Any]]:
    from relaxit.tasks.vae.task import VaeTask

    return [VaeTask]


@hookimpl
def relaxit_gradient_problems() -> list[type[Any]]:
    from relaxit.tasks.vae.gradient_problem import DecoderCost

    return [DecoderCost]
