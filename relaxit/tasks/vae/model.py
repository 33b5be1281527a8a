"""The variational autoencoder with discrete latent variables.

The encoder is ``values - 512 - 256 - latents x param_shape``, the decoder ``latents x event_shape -
256 - 512 - values``, with ReLU between layers. Everything about the latent variables comes from the
shapes of the relaxation, so that any registered one fits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from relaxit.data import ColumnFormat
from relaxit.relaxation import Relaxation
from relaxit.tasks.vae.likelihood import Likelihood, build_likelihood

__all__ = ["Vae"]


class Vae(nn.Module):
    """Encoder and decoder around a layer of ``latents`` relaxed variables.

    Args:
        relaxation: relaxation with ``param_shape`` and ``event_shape``.
        latents: number of variables L.
        pixels: number P of values of an example, such as the pixels of an image.
        hidden: widths of the encoder's hidden layers; the decoder mirrors them.
        params_activation: ``relu`` bounds the parameters below by 0, as an old tutorial did.
        init: ``scaled`` fits the weights to their inputs, with He's variances.
        likelihood: distribution of the P values; Bernoulli if absent.
        learned_prior: whether the prior of the variables is learned; it is uniform otherwise.
        networks: encoder ``[..., F]`` to ``[..., latents * params]`` and decoder ``[..., latents *
            values]`` to ``[..., D]``, in place of the perceptrons that ``hidden``,
            ``params_activation`` and ``init`` describe.

    Attributes:
        prior_params: params of the prior, ``[latents, *param_shape]``; None if it is uniform.

    Example:
        >>> import relaxit
        >>> vae = Vae(relaxit.get("categorical", categories=10), latents=30, pixels=784)
        >>> params = vae.encode(torch.zeros(2, 784))
        >>> params.shape, vae.decode(torch.zeros(5, 2, 30, 10)).shape
        (torch.Size([2, 30, 10]), torch.Size([5, 2, 784]))
    """

    mean_image: Tensor
    prior_params: nn.Parameter | None

    def __init__(
        self,
        relaxation: Relaxation,
        latents: int,
        pixels: int,
        hidden: Sequence[int] = (512, 256),
        params_activation: Literal["none", "relu"] = "none",
        init: Literal["torch", "scaled"] = "scaled",
        likelihood: Likelihood | None = None,
        learned_prior: bool = False,
        networks: tuple[nn.Module, nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.likelihood = likelihood or build_likelihood(
            "bernoulli", ColumnFormat("float32", (pixels,))
        )
        features, outputs = self.likelihood.features, self.likelihood.outputs
        self.params_shape = (latents, *relaxation.param_shape)
        self.event_dims = 1 + len(relaxation.event_shape)
        values = latents * math.prod(relaxation.event_shape)
        if networks is None:
            encoder = _perceptron([features, *hidden, math.prod(self.params_shape)])
            if params_activation == "relu":
                encoder.append(nn.ReLU())
            decoder = _perceptron([values, *reversed(hidden), outputs])
            if init == "scaled":
                _scale(encoder, decoder, latents * _active_entries(relaxation))
            networks = encoder, decoder
        self.encoder, self.decoder = networks
        self.register_buffer("mean_image", torch.zeros(features))
        self.register_parameter(
            "prior_params", nn.Parameter(torch.zeros(self.params_shape)) if learned_prior else None
        )

    def encode(self, x: Tensor) -> Tensor:
        """Encode examples ``[B, *shape]`` as parameters ``[B, latents, *param_shape]``."""
        inputs = self.likelihood.encode(x)
        params: Tensor = self.encoder(inputs - self.mean_image)
        # Under autocast the output is bfloat16, which the distributions do not take.
        return params.to(inputs.dtype).unflatten(-1, self.params_shape)

    def decode(self, z: Tensor) -> Tensor:
        """Decode values ``[..., latents, *event_shape]`` to outputs ``[..., D]`` of the likelihood.

        They are the pixel logits ``[..., P]`` of a Bernoulli likelihood.
        """
        logits: Tensor = self.decoder(z.flatten(-self.event_dims))
        return logits.to(z.dtype)

    def prior_like(self, params: Tensor) -> Tensor:
        """Return params of the prior in the shape of those of a posterior; zeros if uniform."""
        if self.prior_params is None:
            return torch.zeros_like(params)
        return self.prior_params.expand_as(params)

    @torch.no_grad()
    def fit_mean(self, mean: Tensor) -> None:
        """Start the decoder at the mean training example ``[F]``, and centre the encoder's input.

        With the output biases at the pixels' log-odds the first steps need not learn them.
        """
        self.mean_image.copy_(mean)
        *_, last = self.decoder.modules()
        assert isinstance(last, nn.Linear)  # of a perceptron; other networks override this
        last.bias.copy_(self.likelihood.biases(mean))


def _perceptron(sizes: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@torch.no_grad()
def _scale(encoder: nn.Sequential, decoder: nn.Sequential, active: float) -> None:
    """Draw weights with He's variances for ReLU layers; the decoder's input has its true norm.

    A one-hot vector has one non-zero entry, whatever its length: with a variance by fan-in its
    signal would be ``sqrt(categories)`` times too small.

    Reference: He, Zhang, Ren, Sun, arXiv:1502.01852, eq. 10.
    """
    linear = [m for m in (*encoder, *decoder) if isinstance(m, nn.Linear)]
    for layer in linear:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)
    middle = len(linear) // 2  # as many layers in the decoder as in the encoder
    head, first, last = linear[middle - 1], linear[middle], linear[-1]
    nn.init.xavier_normal_(head.weight)
    nn.init.normal_(first.weight, std=math.sqrt(2 / active))
    nn.init.kaiming_normal_(last.weight, nonlinearity="linear")


def _active_entries(relaxation: Relaxation) -> float:
    """Return the squared norm of a typical hard sample: how many of its entries are one.

    It is 1 where all samples are zero, such as trees of one node, and weights do not matter.
    """
    generator = torch.Generator().manual_seed(0)
    q = relaxation(torch.zeros(64, *relaxation.param_shape))
    return float(q.sample_hard(generator=generator).square().sum()) / 64 or 1.0
