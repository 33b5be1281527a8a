"""Plugin hooks of relaxit-graph: structures, data, tasks, recipes, benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from relaxit import hookimpl

if TYPE_CHECKING:
    from relaxit import Relaxation, Task
    from relaxit.bench import Benchmark
    from relaxit.data import Dataset

__all__ = [
    "relaxit_benchmarks",
    "relaxit_datasets",
    "relaxit_recipes",
    "relaxit_relaxations",
    "relaxit_tasks",
]


@hookimpl
def relaxit_relaxations() -> list[type[Relaxation]]:
    from relaxit_graph.arborescences.arborescence import Arborescence
    from relaxit_graph.edges.edges import Edges
    from relaxit_graph.edges.k_edges import KEdges
    from relaxit_graph.programs.alignment import Alignment
    from relaxit_graph.programs.chain import Chain
    from relaxit_graph.programs.gumbel_crf import GumbelCrf
    from relaxit_graph.programs.projective_tree import ProjectiveTree
    from relaxit_graph.programs.segmentation import Segmentation
    from relaxit_graph.trees.spanning_tree import SpanningTree

    graphs: list[type[Relaxation]] = [Arborescence, Edges, KEdges, SpanningTree]
    return [*graphs, Alignment, Chain, GumbelCrf, ProjectiveTree, Segmentation]


@hookimpl
def relaxit_tasks() -> list[type[Task]]:
    from relaxit_graph.tasks.interactions.task import Interactions
    from relaxit_graph.tasks.tagger.task import CrfTagger

    return [CrfTagger, Interactions]


@hookimpl
def relaxit_datasets() -> list[type[Dataset]]:
    from relaxit_graph.tasks.interactions.springs import Springs
    from relaxit_graph.tasks.tagger.hmm_sentences import HmmSentences

    return [HmmSentences, Springs]


@hookimpl
def relaxit_benchmarks() -> list[type[Benchmark]]:
    from relaxit_graph.benchmarks import sequences as s
    from relaxit_graph.benchmarks import trees as t

    trees = [t.TreeMarginals, t.ArborescenceMarginals, t.HardTrees, t.TreeDraw]
    return [*trees, s.ChainMarginals, s.ChainDraw, s.SubsetBySums]


@hookimpl
def relaxit_recipes() -> list[Path]:
    return sorted(Path(__file__).parent.glob("recipes/*.toml"))
