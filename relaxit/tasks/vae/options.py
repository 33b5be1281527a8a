"""Options of the autoencoder: its objective, its networks and its likelihood."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt

from relaxit.options import Options

__all__ = ["VaeOptions"]


class VaeOptions(Options):
    """Options of :class:`relaxit.tasks.vae.VaeTask`; see the page on the two distributions."""

    kl: Literal["discrete", "relaxed"] = Field(
        "discrete",
        description="KL of the discrete distributions, or log-ratio of the relaxed densities",
    )
    prior_temperature: PositiveFloat | None = Field(
        None, description="temperature of the relaxed prior; default: that of the posterior"
    )
    kl_warmup: float = Field(
        0.0, ge=0, le=1, description="fraction of the run over which the KL weight rises to 1"
    )
    prior: Literal["uniform", "learned"] = Field(
        "uniform", description="prior of the latent variables; a learned one starts uniform"
    )
    likelihood: Literal["bernoulli", "categorical", "gaussian"] = Field(
        "bernoulli",
        description="distribution of the inputs: in [0, 1], classes from 0, or real numbers",
    )
    hidden: tuple[PositiveInt, ...] = Field(
        (512, 256), description="hidden units of the encoder; mirrored in the decoder"
    )
    params_activation: Literal["none", "relu"] = Field(
        "none", description="relu reproduces a mistake of an old tutorial, and its numbers"
    )
    init: Literal["torch", "scaled"] = Field(
        "scaled", description="torch's defaults, or weights and biases fitted to the data"
    )
