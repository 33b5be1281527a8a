"""The variational autoencoder of text."""

from __future__ import annotations

from typing import Any

from relaxit.hooks import hookimpl

__all__ = ["relaxit_tasks"]


@hookimpl
def relaxit_tasks() -> list[type[Any]]:
    from relaxit.tasks.text_vae.task import TextVaeTask

    return [TextVaeTask]
