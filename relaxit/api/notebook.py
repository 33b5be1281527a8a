"""Metrics and figures of a run, as a notebook shows them."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from relaxit.errors import ConfigurationError
from relaxit.training import Row

__all__ = ["Figures", "Rows", "html_table"]


class Rows(list[Row]):
    """Metrics by epoch: a list of rows, shown as a table in a notebook.

    Example:
        >>> rows = Rows([{"epoch": 1, "test_loss": 0.5}, {"epoch": 2, "test_loss": 0.25}])
        >>> rows[-1]["test_loss"], rows.column("test_loss")
        (0.25, [0.5, 0.25])
    """

    def column(self, name: str) -> list[float]:
        """Return the values of one metric, of the epochs that have it."""
        return [row[name] for row in self if name in row]

    def to_pandas(self) -> Any:
        """Return the rows as a DataFrame, indexed by epoch.

        Raises:
            ConfigurationError: if pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise ConfigurationError("to_pandas() needs pandas: pip install pandas") from error
        return pandas.DataFrame(list(self)).set_index("epoch")

    def to_html(self) -> str:
        """Return the table that a notebook shows."""
        return html_table(self)

    _repr_html_ = to_html


def html_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows of named cells as a table in HTML; absent cells are empty.

    Example:
        >>> html_table([{"": "test", "loss": 0.5}]).count("<td>")
        2
    """
    names = dict.fromkeys(name for row in rows for name in row)
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{_cell(row.get(name, ''))}</td>" for name in names) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: float | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else html.escape(str(value))


class Figures(dict[str, Path]):
    """Paths of figures by file name, shown inline in a notebook."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        super().__init__(paths)

    def to_html(self) -> str:
        """Return the figures as a notebook shows them, with their content."""
        return "".join(_figure(name, path) for name, path in self.items())

    _repr_html_ = to_html


def _figure(name: str, path: Path) -> str:
    if path.suffix != ".png":
        return f"<pre>{html.escape(path.read_text(encoding='utf-8'))}</pre>"
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return f'<img alt="{html.escape(name)}" src="data:image/png;base64,{data}">'
