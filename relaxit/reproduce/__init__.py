"""Stored studies: published or computed results, run again and compared cell by cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relaxit.lazy import lazy_exports

if TYPE_CHECKING:
    from relaxit.reproduce.comparison import Comparison as Comparison
    from relaxit.reproduce.comparison import compare as compare
    from relaxit.reproduce.comparison import reached as reached
    from relaxit.reproduce.report import comparison_rows as comparison_rows
    from relaxit.reproduce.report import comparison_table as comparison_table
    from relaxit.reproduce.report import footer as footer
    from relaxit.reproduce.report import markdown_table as markdown_table
    from relaxit.reproduce.report import study_document as study_document
    from relaxit.reproduce.run import CellRun as CellRun
    from relaxit.reproduce.run import run_cell as run_cell
    from relaxit.reproduce.study import Cell as Cell
    from relaxit.reproduce.study import Study as Study
    from relaxit.reproduce.study import find_study as find_study
    from relaxit.reproduce.study import read_study as read_study
    from relaxit.reproduce.study import studies as studies

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "relaxit.reproduce.comparison": ["Comparison", "compare", "reached"],
        "relaxit.reproduce.report": [
            "study_document",
            "footer",
            "markdown_table",
            "comparison_rows",
            "comparison_table",
        ],
        "relaxit.reproduce.run": ["CellRun", "run_cell"],
        "relaxit.reproduce.study": ["Cell", "Study", "find_study", "read_study", "studies"],
    },
)
