"""A monotone alignment of two sequences: a path through the matrix of their items."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from relaxit import DomainError, Options, SumProduct
from relaxit.sum_product import Sum
from relaxit_graph.programs.padding import as_lengths

__all__ = ["Alignment", "AlignmentOptions"]


class AlignmentOptions(Options):
    """Options of :class:`Alignment`."""

    rows: int = Field(ge=1, description="number of items of the first sequence")
    columns: int = Field(ge=1, description="number of items of the second sequence")
    moves: Literal["warping", "attention"] = Field(
        "warping",
        description="warping: down, right or both at once; attention: right, with or without down, "
        "so that each column has one row",
    )


class Alignment(SumProduct):
    """A monotone path from the first to the last pair of items of two sequences.

    Params are scores of pairs ``[*, N, M]``, for example negative distances, and values are paths of
    ones ``[*, N, M]``. With ``moves=warping`` a step goes to the next row, the next column or both
    (dynamic time warping), and the expected path of ``discrete`` is the gradient of soft-DTW. With
    ``moves=attention`` a step goes to the next column in the same or the next row (monotonic
    attention, as in text to speech); there must be at least as many columns as rows.

    Each of the N + M - 1 diagonals, or of the M columns, is computed at once.

    References: Cuturi, Blondel, "Soft-DTW", arXiv:1703.01541, section 2; Mensch, Blondel,
    arXiv:1802.03676 (expected paths); Kim et al., "Glow-TTS", arXiv:2005.11129, section 3.1.

    Example:
        >>> import torch, relaxit
        >>> alignment = relaxit.get("alignment", rows=3, columns=4)
        >>> x, y = torch.tensor([0.0, 1, 2]), torch.tensor([0.0, 1, 1, 2])
        >>> q = alignment(-10 * (x[:, None] - y).square())
        >>> q.discrete.mode
        tensor([[1., 0., 0., 0.],
                [0., 1., 1., 0.],
                [0., 0., 0., 1.]])
    """

    api = 1
    name = "alignment"
    aliases = ("monotone-alignment", "dtw", "dynamic-time-warping")
    summary = "a monotone path that aligns two sequences (dynamic time warping, attention)"
    references = ("arXiv:1703.01541, section 2", "arXiv:1802.03676")
    Options = AlignmentOptions

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        rows, columns = self.event_shape
        if self.options.moves == "attention" and columns < rows:
            raise DomainError(
                f"{self.name}: moves=attention needs at least as many columns as rows, got "
                f"rows={rows}, columns={columns}"
            )

    @property
    def event_shape(self) -> torch.Size:
        return torch.Size((self.options.rows, self.options.columns))

    @property
    def param_shape(self) -> torch.Size:
        return self.event_shape

    @classmethod
    def sizes(cls, shape: torch.Size) -> dict[str, int]:
        return {"rows": shape[-2], "columns": shape[-1]} if len(shape) > 1 else {}

    @classmethod
    def examples(cls) -> list[Alignment]:
        return [cls(rows=3, columns=4), cls(rows=3, columns=5, moves="attention")]

    def log_partition(self, scores: Tensor, plus: Sum) -> Tensor:
        lines = scores if self.options.moves == "attention" else self._diagonals(scores)
        nothing = torch.full_like(lines[..., :1, 0], -torch.inf)
        first, *others = lines.unbind(-1)
        start = torch.full_like(first, -torch.inf)
        before = torch.cat([first[..., :1], start[..., 1:]], -1)
        earlier = start
        for line in others:
            down = torch.cat([nothing, before[..., :-1]], -1)
            if self.options.moves == "attention":
                ways = [before, down]
            else:
                ways = [before, down, torch.cat([nothing, earlier[..., :-1]], -1)]
            earlier, before = before, line + plus(torch.stack(ways), 0)
        return before[..., -1]

    def _diagonals(self, scores: Tensor) -> Tensor:
        """Return scores by row and diagonal ``[..., N, N + M - 1]``, -inf beside the matrix."""
        rows, columns = self.event_shape
        padded = torch.nn.functional.pad(scores, (0, rows), value=-torch.inf)
        # Each row is read one place later than the row above.
        flat = padded.flatten(-2)[..., : rows * (columns + rows - 1)]
        return flat.unflatten(-1, (rows, columns + rows - 1))

    def pad(self, params: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Return params of pairs of sequences of different lengths, ``[*batch, N, M]``.

        From the last real pair the path goes down, and then right, at score 0. With
        ``moves=attention`` there may be as many missing rows as missing columns at most.

        Args:
            params: params ``[*batch, N, M]``.
            rows: number of items of the first sequence of each row of the batch, integers
                ``[*batch]`` from 1 to N.
            columns: the same for the second sequence, from 1 to M.

        Raises:
            DomainError: if a length is out of range.
            ShapeError: if lengths do not fit the batch.

        Example:
            >>> import torch, relaxit
            >>> alignment = relaxit.get("alignment", rows=3, columns=3)
            >>> padded = alignment.pad(torch.zeros(3, 3), torch.tensor(2), torch.tensor(2))
            >>> alignment.discrete(padded).entropy().exp()  # the paths of two and two items
            tensor(3.)
        """
        batch, (most_rows, most_columns) = params.shape[:-2], self.event_shape
        n, m = (
            as_lengths(f"{self.name}, {what}", given, batch, most).to(params.device)[..., None, None]
            for what, given, most in (("rows", rows, most_rows), ("columns", columns, most_columns))
        )
        i = torch.arange(most_rows, device=params.device)[:, None]
        j = torch.arange(most_columns, device=params.device)
        real = (i < n) & (j < m)
        if self.options.moves == "attention":
            way = (j >= m) & (i == torch.minimum(n - 1 + j - (m - 1), most_rows - 1 + 0 * j))
        else:
            way = ((i >= n) & (j == m - 1)) | ((i == most_rows - 1) & (j >= m))
        return torch.where(real, params, torch.where(way, 0.0, -torch.inf).to(params.dtype))
