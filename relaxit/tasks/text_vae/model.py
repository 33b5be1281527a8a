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
_WIDTH = 32  # of the embedding of a symbol


class Convolutions(nn.Module):
    """Convolutions over blocks of symbols, such as characters or values of latent variables.

    Each symbol is embedded, a convolution sees three blocks, the last one a single block, and there
    are ReLUs between. Weights have He's variances; those of the embedding are of order 1, as
    symbols are one-hot.

    Args:
        blocks: number of blocks.
        symbols: number of symbols of a block, and of entries of a symbol.
        channels: numbers of hidden channels and of outputs of a block.

    Example:
        >>> Convolutions(16, (4, 97), [256, 128])(torch.zeros(2, 5, 16 * 4 * 97)).shape
        torch.Size([2, 5, 2048])

    Reference: He, Zhang, Ren, Sun, arXiv:1502.01852, eq. 10.
    """

    def __init__(self, blocks: int, symbols: tuple[int, int], channels: Sequence[int]) -> None:
        super().__init__()
        number, size = symbols
        self.shape = (blocks, number, size)
        self.embedding = nn.Linear(size, _WIDTH, bias=False)
        nn.init.normal_(self.embedding.weight)
        layers: list[nn.Module] = []
        *hidden, outputs = channels
        for fan_in, fan_out in pairwise([number * _WIDTH, *hidden]):
            layer = nn.Conv1d(fan_in, fan_out, _REACH, padding=_REACH // 2)
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
            layers += [layer, nn.ReLU()]
        self.hidden = nn.Sequential(*layers)
        self.last = nn.Linear([number * _WIDTH, *hidden][-1], outputs)
        nn.init.kaiming_normal_(self.last.weight, nonlinearity="linear")
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs ``[..., blocks * outputs]`` of one-hot symbols, ``[..., P]``."""
        symbols = self.embedding(x.reshape(-1, *self.shape))  # [rows, blocks, number, width]
        hidden = self.hidden(symbols.flatten(2).transpose(1, 2)).transpose(1, 2)
        outputs: Tensor = self.last(hidden)
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
        blocks, hidden = inputs.entries // options.block, options.hidden
        each = latents // blocks
        characters, values = (
            (options.block, inputs.classes),
            (each, math.prod(relaxation.event_shape)),
        )
        params = each * math.prod(relaxation.param_shape)
        encoder = Convolutions(blocks, characters, [*hidden, params])
        decoder = Convolutions(blocks, values, [*reversed(hidden), math.prod(characters)])
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
        last = self.decoder.last
        last.bias.copy_(biases.repeat(len(last.bias) // self.classes))
