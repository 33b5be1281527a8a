"""Pictures as the pieces of a square grid: cut, shuffled, and put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Grid", "Puzzle", "arranged", "shuffled"]


@dataclass(frozen=True)
class Grid:
    """How pictures are cut.

    Attributes:
        size: height and width of a picture in pixels, both multiples of ``side``.
        side: pieces in a row, and in a column.

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
        """Pictures ``[B, P]`` to their pieces ``[B, n, P / n]``, row by row of the grid."""
        height, width = self.piece
        rows = images.reshape(len(images), self.side, height, self.side, width)
        return rows.transpose(2, 3).reshape(len(images), self.side**2, height * width)

    def joined(self, pieces: Tensor) -> Tensor:
        """Pieces ``[B, n, P / n]`` in their places to pictures ``[B, P]``."""
        height, width = self.piece
        rows = pieces.reshape(len(pieces), self.side, self.side, height, width)
        return rows.transpose(2, 3).reshape(len(pieces), -1)


class Puzzle(NamedTuple):
    """Pieces ``[B, n, F]`` of pictures: in their places, and shuffled."""

    solution: Tensor
    pieces: Tensor

    def in_place(self, order: Tensor) -> Tensor:
        """Which places have the right pixels, ``[B, n]`` of bool.

        Args:
            order: the piece put in each place, ``[B, n]`` int64.
        """
        return (arranged(self.pieces, order) == self.solution).all(-1)


def shuffled(solution: Tensor, generator: torch.Generator | None = None) -> Puzzle:
    """A puzzle of pieces ``[B, n, F]``: each picture's in an order of its own, all equally likely.

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
    """The pieces that an order puts in each place; exactly their pixels, on every device."""
    return pieces.gather(1, order.unsqueeze(-1).expand_as(pieces))
