"""The variational autoencoder of passages of text, as a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit.tasks.text_vae.model import Convolutions as Convolutions
    from relaxit.tasks.text_vae.model import TextVae as TextVae
    from relaxit.tasks.text_vae.options import TextVaeOptions as TextVaeOptions
    from relaxit.tasks.text_vae.task import TextVaeTask as TextVaeTask

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit.tasks.text_vae.model": ["Convolutions", "TextVae"],
        "relaxit.tasks.text_vae.options": ["TextVaeOptions"],
        "relaxit.tasks.text_vae.task": ["TextVaeTask"],
    },
)
