"""A monotone alignment of two sequences: a path through the matrix of their items."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from relaxit import DomainError, Options, SumProduct
from relaxit.shapes import batch_shape_of
from relaxit.sum_product import Sum
from relaxit.tracing import can_read_values, known_false
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

    @model_validator(mode="after")
    def _every_row_is_reached(self) -> AlignmentOptions:
        if self.moves == "attention" and self.columns < self.rows:
            raise ValueError(
                f"moves=attention needs at least as many columns as rows, got rows={self.rows}, "
                f"columns={self.columns}"
            )
        return self


class Alignment(SumProduct):
    """A monotone path from the first to the last pair of items of two sequences.

    Params are scores of pairs ``[*, N, M]``, for example negative distances, and values are paths
    of ones ``[*, N, M]``. With ``moves=warping`` a step goes to the next row, the next column or
    both (dynamic time warping), and the expected path of ``discrete`` is the gradient of soft-DTW.
    With ``moves=attention`` a step goes to the next column in the same or the next row (monotonic
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

        From the last real pair the path goes on in both sequences at once, and then straight to the
        end, at score 0. So where one sequence is padded the other one must be as well; choose N and
        M one larger than the longest. With ``moves=attention`` only the second one may be, and the
        first one has at most as many missing items as the second.

        Args:
            params: params ``[*batch, N, M]``.
            rows: number of items of the first sequence of each row of the batch, integers
                ``[*batch]`` from 1 to N.
            columns: the same for the second sequence, from 1 to M.

        Raises:
            DomainError: if a length is out of range, or only one of the two is padded.
            ShapeError: if params are not ``[*batch, N, M]``, or lengths do not fit the batch.

        Example:
            >>> import torch, relaxit
            >>> alignment = relaxit.get("alignment", rows=3, columns=4)
            >>> padded = alignment.pad(torch.zeros(3, 4), torch.tensor(2), torch.tensor(2))
            >>> alignment.discrete(padded).entropy().exp()  # the paths of two and two items
            tensor(3.)
        """
        batch = batch_shape_of(self.name, "params", params, self.param_shape)
        most_rows, most_columns = self.event_shape
        given = [
            as_lengths(f"{self.name}, rows", rows, batch, most_rows),
            as_lengths(f"{self.name}, columns", columns, batch, most_columns),
        ]
        n, m = (lengths.to(params.device)[..., None, None] for lengths in given)
        self._check_ends(most_rows - n, most_columns - m)
        i = torch.arange(most_rows, device=params.device)[:, None]
        j = torch.arange(most_columns, device=params.device)
        real = (i < n) & (j < m)
        if self.options.moves == "attention":  # the last real column has its last row
            real = real & ((j < m - 1) | (i == n - 1))
        beside = (j >= m) & (i == (n + j - m).clamp_max(most_rows - 1))
        below = (i >= n) & (j == (m + i - n).clamp_max(most_columns - 1))
        way = torch.zeros_like(params).masked_fill(~(beside | below), -torch.inf)
        return torch.where(real, params, way)

    def _check_ends(self, rows: Tensor, columns: Tensor) -> None:
        """Reject numbers of missing rows and columns that leave more than one way, or none."""
        if not can_read_values(rows):
            return
        if self.options.moves == "attention":
            if known_false((rows <= columns).all()):
                raise DomainError(
                    f"{self.name}: moves=attention allows at most as many missing rows as missing "
                    "columns; choose more columns"
                )
        elif known_false(((rows > 0) == (columns > 0)).all()):
            raise DomainError(
                f"{self.name}: where rows are padded columns must be as well, and vice versa; "
                "choose one row and one column more than the longest sequences have"
            )
