"""Likelihoods of an autoencoder: what the outputs of its decoder mean."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot

from relaxit.data import ColumnFormat, Requirement

__all__ = ["REQUIRED", "Likelihood", "LikelihoodName", "build_likelihood", "pixel_loss"]

LikelihoodName = Literal["bernoulli", "categorical", "gaussian"]
REQUIRED: dict[LikelihoodName, Requirement] = {
    "bernoulli": Requirement(
        "float", 0, 1, remedy="set -t likelihood=gaussian, or likelihood=categorical for integers"
    ),
    "categorical": Requirement("integer", 0, remedy="set another -t likelihood"),
    "gaussian": Requirement("float", remedy="set -t likelihood=categorical for integers"),
}
"""What the inputs must be, by likelihood."""
_LEAST = 1e-3  # probability from which initial biases are computed


def pixel_loss(logits: Tensor, x: Tensor) -> Tensor:
    """Return the cross-entropy ``[..., B]`` of pixel logits ``[..., B, P]``.

    It is summed over pixels, in nats.
    """
    return binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none").sum(-1)


class Likelihood(nn.Module, ABC):
    """Distribution of an example of P values, given D outputs of a decoder.

    Attributes:
        features: number F of inputs of the encoder.
        outputs: number D of outputs of the decoder.
        grey: whether the values of an image can be drawn as grey levels.
    """

    features: int
    outputs: int
    grey: bool = True

    def encode(self, x: Tensor) -> Tensor:
        """Return examples ``[B, *shape]`` as inputs of the encoder, ``[B, F]`` float32."""
        return _rows(x)

    @abstractmethod
    def loss(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Return the negative log-likelihood ``[..., B]``, summed over the values, in nats.

        Args:
            outputs: outputs of the decoder, ``[..., B, D]``.
            x: examples, ``[B, *shape]``.
        """

    @abstractmethod
    def mean(self, outputs: Tensor) -> Tensor:
        """Return the mean ``[..., P]`` of the values, or the most likely classes."""

    @abstractmethod
    def biases(self, mean: Tensor) -> Tensor:
        """Return outputs ``[D]`` that fit the mean ``[F]`` of all encoded examples."""


class _Bernoulli(Likelihood):
    """Values in [0, 1], each with its own probability of being 1."""

    def __init__(self, entries: int) -> None:
        super().__init__()
        self.features = self.outputs = entries

    def loss(self, outputs: Tensor, x: Tensor) -> Tensor:
        return pixel_loss(outputs, _rows(x))

    def mean(self, outputs: Tensor) -> Tensor:
        return outputs.sigmoid()

    def biases(self, mean: Tensor) -> Tensor:
        return mean.clamp(_LEAST, 1 - _LEAST).logit()


class _Gaussian(Likelihood):
    """Real values, normally distributed around the outputs with one standard deviation.

    The standard deviation is learned with the networks; it starts at 1.

    Reference: Rybkin, Daniilidis, Levine, "Simple and Effective VAE Training with Calibrated
    Decoders", arXiv:2006.13202, section 3.
    """

    def __init__(self, entries: int) -> None:
        super().__init__()
        self.features = self.outputs = entries
        self.log_scale = nn.Parameter(torch.zeros(()))

    def loss(self, outputs: Tensor, x: Tensor) -> Tensor:
        apart = (outputs - _rows(x)) * (-self.log_scale).exp()
        constant = self.log_scale + 0.5 * math.log(2 * math.pi)
        return (0.5 * apart.square() + constant).sum(-1)

    def mean(self, outputs: Tensor) -> Tensor:
        return outputs

    def biases(self, mean: Tensor) -> Tensor:
        return mean


class _Categorical(Likelihood):
    """Classes from 0 to C - 1, such as tokens, each with its own probabilities: D = P C."""

    grey = False

    def __init__(self, entries: int, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.features = self.outputs = entries * classes

    def encode(self, x: Tensor) -> Tensor:
        return one_hot(_rows(x).long(), self.classes).flatten(1).float()

    def loss(self, outputs: Tensor, x: Tensor) -> Tensor:
        logits = outputs.unflatten(-1, (-1, self.classes))
        classes = _rows(x).long().expand(logits.shape[:-1])
        nats = cross_entropy(logits.flatten(0, -2), classes.flatten(), reduction="none")
        return nats.view(classes.shape).sum(-1)

    def mean(self, outputs: Tensor) -> Tensor:
        return outputs.unflatten(-1, (-1, self.classes)).argmax(-1)

    def biases(self, mean: Tensor) -> Tensor:
        return mean.clamp(_LEAST / self.classes).log()


def build_likelihood(name: LikelihoodName, inputs: ColumnFormat) -> Likelihood:
    """Return a likelihood for inputs of a format.

    Example:
        >>> tokens = ColumnFormat("int64", (5,), classes=3)
        >>> build_likelihood("categorical", tokens).loss(torch.zeros(2, 15), torch.zeros(2, 5))
        tensor([5.4931, 5.4931])
    """
    if name == "categorical":
        return _Categorical(inputs.entries, inputs.classes)
    return _Bernoulli(inputs.entries) if name == "bernoulli" else _Gaussian(inputs.entries)


def _rows(x: Tensor) -> Tensor:
    """Return examples ``[B, *shape]`` as ``[B, P]``, also those of one number, ``[B]``."""
    return x.reshape(x.shape[0], -1)
