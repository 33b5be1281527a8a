"""Options of the autoencoder of text."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from relaxit.tasks.vae import VaeOptions

__all__ = ["TextVaeOptions"]


class TextVaeOptions(VaeOptions):
    """Options of :class:`relaxit.tasks.text_vae.TextVaeTask`."""

    prior: Literal["uniform", "learned"] = Field(
        "learned", description="prior of the latent variables, the same for all blocks"
    )
    likelihood: Literal["categorical"] = Field(
        "categorical", description="distribution of the characters"
    )
    hidden: tuple[PositiveInt, ...] = Field(
        (192,), description="channels of the encoder's convolutions; mirrored in the decoder"
    )
    params_activation: Literal["none"] = Field("none", description="as in task vae")
    block: PositiveInt = Field(
        4, description="characters of a block, which has its own latent variables"
    )
