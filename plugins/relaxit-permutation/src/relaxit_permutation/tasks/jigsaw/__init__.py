"""Jigsaw puzzles as a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit_permutation.tasks.jigsaw.figures import draw_puzzles as draw_puzzles
    from relaxit_permutation.tasks.jigsaw.puzzle import Grid as Grid
    from relaxit_permutation.tasks.jigsaw.puzzle import Puzzle as Puzzle
    from relaxit_permutation.tasks.jigsaw.puzzle import shuffled as shuffled
    from relaxit_permutation.tasks.jigsaw.task import Jigsaw as Jigsaw

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit_permutation.tasks.jigsaw.figures": ["draw_puzzles"],
        "relaxit_permutation.tasks.jigsaw.puzzle": ["Grid", "Puzzle", "shuffled"],
        "relaxit_permutation.tasks.jigsaw.task": ["Jigsaw"],
    },
)
