"""Graphs, trees, chains and alignments for relaxit.

Once the package is installed beside relaxit, its structures are found by name. The functions to
call directly are :func:`edge_vector`, :func:`adjacency` and :func:`maximum_arborescence`. Names are
imported on first use, so that looking them up does not load PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit_graph.arborescences.arborescence import Arborescence as Arborescence
    from relaxit_graph.arborescences.edmonds import maximum_arborescence as maximum_arborescence
    from relaxit_graph.edges.edges import Edges as Edges
    from relaxit_graph.edges.k_edges import KEdges as KEdges
    from relaxit_graph.edges.vectors import adjacency as adjacency
    from relaxit_graph.edges.vectors import edge_vector as edge_vector
    from relaxit_graph.programs.alignment import Alignment as Alignment
    from relaxit_graph.programs.chain import Chain as Chain
    from relaxit_graph.programs.gumbel_crf import GumbelCrf as GumbelCrf
    from relaxit_graph.programs.projective_tree import ProjectiveTree as ProjectiveTree
    from relaxit_graph.programs.segmentation import Segmentation as Segmentation
    from relaxit_graph.trees.spanning_tree import SpanningTree as SpanningTree

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit_graph.arborescences.arborescence": ["Arborescence"],
        "relaxit_graph.arborescences.edmonds": ["maximum_arborescence"],
        "relaxit_graph.edges.edges": ["Edges"],
        "relaxit_graph.edges.k_edges": ["KEdges"],
        "relaxit_graph.edges.vectors": ["adjacency", "edge_vector"],
        "relaxit_graph.programs.alignment": ["Alignment"],
        "relaxit_graph.programs.chain": ["Chain"],
        "relaxit_graph.programs.gumbel_crf": ["GumbelCrf"],
        "relaxit_graph.programs.projective_tree": ["ProjectiveTree"],
        "relaxit_graph.programs.segmentation": ["Segmentation"],
        "relaxit_graph.trees.spanning_tree": ["SpanningTree"],
    },
)
