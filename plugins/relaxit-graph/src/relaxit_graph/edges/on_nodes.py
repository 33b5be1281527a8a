"""What structures on the nodes of a graph share: its size, and the shapes that follow from it."""

from __future__ import annotations

import torch
from pydantic import Field

from relaxit import Options

__all__ = ["GraphOptions", "OnNodes"]


class GraphOptions(Options):
    """Size of the graph."""

    nodes: int = Field(ge=1, description="number of nodes", examples=[5])


class OnNodes:
    """Structures whose params and values are matrices ``[*batch, n, n]``, n being the nodes."""

    options: GraphOptions

    @classmethod
    def sizes(cls, shape: torch.Size) -> dict[str, int]:
        return {"nodes": shape[-1]} if len(shape) >= 2 else {}

    @property
    def event_shape(self) -> torch.Size:
        return torch.Size((self.options.nodes, self.options.nodes))

    @property
    def param_shape(self) -> torch.Size:
        return self.event_shape
