"""The autoencoder of text: convolutions over blocks of characters, each with its own latents.

A passage of T characters is a sequence of T/b blocks of b characters, and the latents are divided
evenly among the blocks. Encoder and decoder are convolutions over the blocks, so that weights are
shared by all positions. A perceptron would learn the characters of each position separately.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from relaxit.data import ColumnFormat
from relaxit.relaxation import Relaxation
from relaxit.tasks.text_vae.options import TextVaeOptions
from relaxit.tasks.vae import TrainedVae, build_likelihood

__all__ = ["Convolutions", "TextVae"]

_REACH = 3  # blocks that a convolution sees


class Convolutions(nn.Module):
    """Convolutions over blocks, from ``[..., blocks * inputs]`` to ``[..., blocks * outputs]``.

    Each sees three blocks, the last one a single block, and there are ReLUs between. Weights have
    He's variances, for inputs that are one-hot.

    Args:
        blocks: number of blocks.
        channels: numbers of inputs, hidden channels and outputs of a block.
        ones: number of inputs of a block that are one; the others are zero.

    Example:
        >>> Convolutions(16, [388, 256, 128], ones=4)(torch.zeros(2, 5, 16 * 388)).shape
        torch.Size([2, 5, 2048])

    Reference: He, Zhang, Ren, Sun, arXiv:1502.01852, eq. 10.
    """

    def __init__(self, blocks: int, channels: Sequence[int], ones: float) -> None:
        super().__init__()
        self.blocks = blocks
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(channels[:-1]):
            layer = nn.Conv1d(inputs, outputs, _REACH, padding=_REACH // 2)
            fan_in = _REACH * (inputs if layers else ones)
            nn.init.normal_(layer.weight, std=math.sqrt(2 / fan_in))
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
            layers += [layer, nn.ReLU()]
        self.hidden = nn.Sequential(*layers)
        self.last = nn.Conv1d(channels[-2], channels[-1], 1, bias=False)
        nn.init.normal_(self.last.weight, std=math.sqrt(1 / (channels[-2] if layers else ones)))
        self.bias = nn.Parameter(torch.zeros(channels[-1]))

    def forward(self, x: Tensor) -> Tensor:
        rows = x.unflatten(-1, (self.blocks, -1)).flatten(0, -3)  # [rows, blocks, inputs]
        outputs = self.last(self.hidden(rows.transpose(1, 2))).transpose(1, 2) + self.bias
        return outputs.reshape(*x.shape[:-1], -1)


class TextVae(TrainedVae):
    """Autoencoder of passages of text, which are tokens ``[B, T]`` int64.

    Args:
        relaxation: the structure of the latent variables.
        latents: number of variables L, a multiple of the number of blocks.
        inputs: format of the passages.
        options: options of the task.

    Attributes:
        prior_params: params of the prior of the variables of a block, ``[latents / blocks,
            *param_shape]``; None if the prior is uniform.

    Example:
        >>> import relaxit
        >>> tokens = ColumnFormat("int64", (32,), classes=97)
        >>> symbols = relaxit.get("categorical", categories=16)
        >>> vae = TextVae(symbols, 24, tokens, TextVaeOptions())
        >>> vae.encode(torch.zeros(2, 32, dtype=torch.long)).shape, vae.prior_params.shape
        (torch.Size([2, 24, 16]), torch.Size([3, 16]))
    """

    def __init__(
        self, relaxation: Relaxation, latents: int, inputs: ColumnFormat, options: TextVaeOptions
    ) -> None:
        blocks = inputs.entries // options.block
        each = latents // blocks
        characters = options.block * inputs.classes
        params, values = (
            each * math.prod(shape) for shape in (relaxation.param_shape, relaxation.event_shape)
        )
        hidden = options.hidden
        encoder = Convolutions(blocks, [characters, *hidden, params], ones=options.block)
        decoder = Convolutions(blocks, [values, *reversed(hidden), characters], ones=each)
        super().__init__(
            relaxation,
            latents,
            inputs.entries,
            likelihood=build_likelihood("categorical", inputs),
            networks=(encoder, decoder),
        )
        self.shape = inputs.shape
        self.blocks, self.classes = blocks, inputs.classes
        if options.prior == "learned":
            self.prior_params = nn.Parameter(torch.zeros(each, *relaxation.param_shape))

    def prior_like(self, params: Tensor) -> Tensor:
        if self.prior_params is None:
            return torch.zeros_like(params)
        return torch.cat([self.prior_params] * self.blocks).expand_as(params)

    @torch.no_grad()
    def fit_mean(self, mean: Tensor) -> None:
        """Start the decoder at the frequencies of the characters, the same at all positions."""
        assert isinstance(self.decoder, Convolutions)
        biases = self.likelihood.biases(mean.view(-1, self.classes).mean(0))
        self.decoder.bias.copy_(biases.repeat(len(self.decoder.bias) // self.classes))
