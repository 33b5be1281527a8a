"""Images as the pieces of a square grid: cut, shuffle and reassemble."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from relaxit.aliases import Generator

__all__ = ["Grid", "Puzzle", "arranged", "shuffled"]


@dataclass(frozen=True)
class Grid:
    """Square grid of pieces into which images are cut.

    Attributes:
        size: height and width of an image in pixels, both multiples of ``side``.
        side: number of pieces per row and per column.

    Example:
        >>> grid = Grid((2, 4), 2)
        >>> grid.cut(torch.arange(8)[None])  # 0 1 | 2 3 over 4 5 | 6 7
        tensor([[[0, 1],
                 [2, 3],
                 [4, 5],
                 [6, 7]]])
        >>> grid.joined(grid.cut(torch.arange(8)[None]))
        tensor([[0, 1, 2, 3, 4, 5, 6, 7]])
    """

    size: tuple[int, int]
    side: int

    @property
    def piece(self) -> tuple[int, int]:
        """Height and width of a piece in pixels."""
        return self.size[0] // self.side, self.size[1] // self.side

    def cut(self, images: Tensor) -> Tensor:
        """Cut images ``[B, H, W]`` into pieces ``[B, n, P / n]``, row by row of the grid."""
        height, width = self.piece
        rows = images.reshape(len(images), self.side, height, self.side, width)
        return rows.transpose(2, 3).reshape(len(images), self.side**2, height * width)

    def joined(self, pieces: Tensor) -> Tensor:
        """Join pieces ``[B, n, P / n]`` in their places into images ``[B, P]``."""
        height, width = self.piece
        rows = pieces.reshape(len(pieces), self.side, self.side, height, width)
        return rows.transpose(2, 3).reshape(len(pieces), -1)


class Puzzle(NamedTuple):
    """Pieces ``[B, n, F]`` of images.

    Attributes:
        solution: pieces in their places.
        pieces: shuffled pieces.
    """

    solution: Tensor
    pieces: Tensor

    def in_place(self, order: Tensor) -> Tensor:
        """Whether each place ``[B, n]`` has the right pixels.

        Args:
            order: index ``[B, n]`` of the piece in each place, int64.
        """
        return (arranged(self.pieces, order) == self.solution).all(-1)


def shuffled(solution: Tensor, generator: Generator = None) -> Puzzle:
    """Return a puzzle of pieces ``[B, n, F]``, each image in its own uniformly random order.

    Example:
        >>> puzzle = shuffled(torch.arange(4.0).reshape(1, 4, 1), torch.Generator().manual_seed(0))
        >>> puzzle.pieces.flatten()
        tensor([2., 3., 0., 1.])
        >>> puzzle.in_place(torch.tensor([[2, 3, 0, 1]]))
        tensor([[True, True, True, True]])
    """
    noise = torch.rand(solution.shape[:2], device=solution.device, generator=generator)
    return Puzzle(solution, arranged(solution, noise.argsort(-1)))


def arranged(pieces: Tensor, order: Tensor) -> Tensor:  # [B, n, F], [B, n] -> [B, n, F]
    """Return the pieces that an order puts in each place, with unchanged pixels on every device."""
    return pieces.gather(1, order.unsqueeze(-1).expand_as(pieces))
