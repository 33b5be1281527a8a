"""Noise that is accurate in every dtype: uniform, exponential, Gumbel and logistic variables."""

from __future__ import annotations

from relaxit.noise.uniforms import Handle, Source, Streams, uniform
from relaxit.noise.variates import exponential, gumbel, logistic, minus_exponential

__all__ = [
    "Handle",
    "Source",
    "Streams",
    "exponential",
    "gumbel",
    "logistic",
    "minus_exponential",
    "uniform",
]
