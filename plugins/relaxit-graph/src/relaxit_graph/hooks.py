"""Plugin hooks of relaxit-graph: structures, data, tasks, recipes, benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from relaxit import hookimpl

if TYPE_CHECKING:
    from relaxit import Relaxation

__all__ = ["relaxit_recipes", "relaxit_relaxations"]


@hookimpl
def relaxit_relaxations() -> list[type[Relaxation]]:
    from relaxit_graph.programs.alignment import Alignment
    from relaxit_graph.programs.chain import Chain
    from relaxit_graph.programs.gumbel_crf import GumbelCrf
    from relaxit_graph.programs.projective_tree import ProjectiveTree
    from relaxit_graph.programs.segmentation import Segmentation

    return [Alignment, Chain, GumbelCrf, ProjectiveTree, Segmentation]


@hookimpl
def relaxit_recipes() -> list[Path]:
    return sorted(Path(__file__).parent.glob("recipes/*.toml"))
