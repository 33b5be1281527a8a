"""The matrix multiplications of a training step alone: a lower bound of its time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from relaxit.training import Precision, matmuls

__all__ = ["flops", "training_matmuls"]


def training_matmuls(
    encoder: Sequence[int],
    decoder: Sequence[int],
    batch: int,
    precision: Precision,
    device: torch.device,
) -> Callable[[], Tensor]:
    """Return a function that does the matmuls of one step of an autoencoder, both objectives.

    Forward through both networks; backward, for the weights of every layer and for the inputs of
    all but the first; and once more forward through the decoder, for the unrelaxed draw. Results
    are written to preallocated memory.

    Args:
        encoder: widths of its layers, that of the images first.
        decoder: widths of its layers, that of the draw first.
        batch: images per step.
        precision: precision of the matmuls; for bfloat16 the inputs have that type already.
        device: device of the matrices.

    Example:
        >>> step = training_matmuls([6, 4], [4, 6], 3, "float32", torch.device("cpu"))
        >>> step().shape
        torch.Size([3, 6])
    """
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    forward = [
        _Layer(*sizes, batch, dtype, device) for sizes in (*pairwise(encoder), *pairwise(decoder))
    ]
    again = forward[len(encoder) - 1 :]

    def step() -> Tensor:
        with matmuls(precision, device):
            for layer in forward:
                torch.mm(layer.x, layer.weight.t(), out=layer.y)
            for layer in reversed(forward):
                torch.mm(layer.y.t(), layer.x, out=layer.weight_slope)
                if layer is not forward[0]:
                    torch.mm(layer.y, layer.weight, out=layer.x_slope)
            for layer in again:
                torch.mm(layer.x, layer.weight.t(), out=layer.y)
        return forward[-1].y

    return step


class _Layer:
    """Inputs ``[B, in]``, weights ``[out, in]``, outputs ``[B, out]``, and memory for slopes."""

    def __init__(
        self, fan_in: int, fan_out: int, batch: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        def tensor(*shape: int) -> Tensor:
            drawn = torch.randn(shape, generator=torch.Generator().manual_seed(0))
            return (drawn / fan_in**0.5).to(device, dtype)

        self.x, self.x_slope = tensor(batch, fan_in), tensor(batch, fan_in)
        self.weight, self.weight_slope = tensor(fan_out, fan_in), tensor(fan_out, fan_in)
        self.y = tensor(batch, fan_out)


def flops(encoder: Sequence[int], decoder: Sequence[int], batch: int) -> int:
    """Return the operations of such a step, two for a multiplication and its addition.

    Example:
        >>> flops([6, 4], [4, 6], 1)  # 24 weights per layer: forward, weights, one input, again
        288
    """
    first, *rest = [a * b for a, b in pairwise(encoder)]
    second = [a * b for a, b in pairwise(decoder)]
    return 2 * batch * (2 * first + 3 * sum(rest) + 4 * sum(second))
