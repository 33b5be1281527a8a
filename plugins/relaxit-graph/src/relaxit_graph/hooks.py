"""Plugin hooks of relaxit-graph: structures, data, tasks, recipes, benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from relaxit import hookimpl

if TYPE_CHECKING:
    from relaxit import Relaxation, Task
    from relaxit.data import Dataset

__all__ = ["relaxit_datasets", "relaxit_recipes", "relaxit_relaxations", "relaxit_tasks"]


@hookimpl
def relaxit_relaxations() -> list[type[Relaxation]]:
    from relaxit_graph.edges.edges import Edges
    from relaxit_graph.edges.k_edges import KEdges
    from relaxit_graph.programs.alignment import Alignment
    from relaxit_graph.programs.chain import Chain
    from relaxit_graph.programs.gumbel_crf import GumbelCrf
    from relaxit_graph.programs.projective_tree import ProjectiveTree
    from relaxit_graph.programs.segmentation import Segmentation
    from relaxit_graph.trees.spanning_tree import SpanningTree

    return [
        Alignment,
        Chain,
        Edges,
        GumbelCrf,
        KEdges,
        ProjectiveTree,
        Segmentation,
        SpanningTree,
    ]


@hookimpl
def relaxit_datasets() -> list[type[Dataset]]:
    from relaxit_graph.tasks.interactions.springs import Springs

    return [Springs]


@hookimpl
def relaxit_tasks() -> list[type[Task]]:
    from relaxit_graph.tasks.interactions.task import Interactions

    return [Interactions]


@hookimpl
def relaxit_recipes() -> list[Path]:
    return sorted(Path(__file__).parent.glob("recipes/*.toml"))
