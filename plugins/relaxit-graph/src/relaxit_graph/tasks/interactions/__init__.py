"""Recovering the interaction graph of trajectories as a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit_graph.tasks.interactions.figures import draw_graphs as draw_graphs
    from relaxit_graph.tasks.interactions.graphs import random_graphs as random_graphs
    from relaxit_graph.tasks.interactions.model import InteractionModel as InteractionModel
    from relaxit_graph.tasks.interactions.springs import Springs as Springs
    from relaxit_graph.tasks.interactions.springs import SpringSystem as SpringSystem
    from relaxit_graph.tasks.interactions.task import Interactions as Interactions

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit_graph.tasks.interactions.figures": ["draw_graphs"],
        "relaxit_graph.tasks.interactions.model": ["InteractionModel"],
        "relaxit_graph.tasks.interactions.graphs": ["random_graphs"],
        "relaxit_graph.tasks.interactions.springs": ["SpringSystem", "Springs"],
        "relaxit_graph.tasks.interactions.task": ["Interactions"],
    },
)
