"""Graphs, trees, chains and alignments for relaxit.

Once the package is installed beside relaxit, its structures are found by name. Names are imported
on first use, so that looking them up does not load PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit_graph.programs.chain import Chain as Chain
    from relaxit_graph.trees.spanning_tree import SpanningTree as SpanningTree

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit_graph.programs.chain": ["Chain"],
        "relaxit_graph.trees.spanning_tree": ["SpanningTree"],
    },
)
