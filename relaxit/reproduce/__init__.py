"""Stored studies: what was published or computed, run again and compared cell by cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit.reproduce.comparison import Comparison as Comparison
    from relaxit.reproduce.comparison import Row as Row
    from relaxit.reproduce.comparison import compare as compare
    from relaxit.reproduce.comparison import reached as reached
    from relaxit.reproduce.report import document as document
    from relaxit.reproduce.report import foot as foot
    from relaxit.reproduce.report import markdown as markdown
    from relaxit.reproduce.report import table as table
    from relaxit.reproduce.run import CellRun as CellRun
    from relaxit.reproduce.run import run_cell as run_cell
    from relaxit.reproduce.study import Cell as Cell
    from relaxit.reproduce.study import Study as Study
    from relaxit.reproduce.study import find as find
    from relaxit.reproduce.study import read as read
    from relaxit.reproduce.study import studies as studies

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit.reproduce.comparison": ["Comparison", "Row", "compare", "reached"],
        "relaxit.reproduce.report": ["document", "foot", "markdown", "table"],
        "relaxit.reproduce.run": ["CellRun", "run_cell"],
        "relaxit.reproduce.study": ["Cell", "Study", "find", "read", "studies"],
    },
)
