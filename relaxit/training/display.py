"""How the metrics of a task are displayed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

__all__ = ["Display", "Row"]

Row = Mapping[str, float | int]
"""Metrics of one epoch by name."""


class _Shown(dict[str, float | int]):
    def __missing__(self, key: str) -> float:
        return float("nan")  # not a metric of this run: a missing number must not end the training


@dataclass(frozen=True)
class Display:
    """How metrics are displayed: :meth:`str.format` templates that are filled from a row.

    Attributes:
        bar: template of the text beside the progress bar, filled with running means of the epoch.
        line: template of the line printed for each epoch.
        title: template of the title of the final table, which follows "after epoch N, ".
        columns: columns of the final table: metric names without ``train_`` or ``test_``, and
            their headings.
        unit: title of the table that ``relaxit evaluate`` prints; ``EXAMPLE`` in it, and in the
            title, stands for what an example of the data set is called.
        decimals: number of decimals in tables.

    Example:
        >>> shown = Display(line="accuracy {test_accuracy:.1%}")
        >>> shown.fill(shown.line, {"epoch": 1, "test_accuracy": 0.93})
        'accuracy 93.0%'
    """

    bar: str = "loss {train_loss:.4f}"
    line: str = "loss {train_loss:.4f}"
    title: str = "training loss {train_loss:.4f}"
    columns: Mapping[str, str] = field(default_factory=dict)
    unit: str = ""
    decimals: int = 4

    def __post_init__(self) -> None:
        for template in (self.bar, self.line, self.title):
            self.fill(template, {})  # a faulty template fails here, not in the middle of a run

    def of(self, noun: str) -> Display:
        """Return the same with what examples are called.

        Args:
            noun: the plural, such as ``images``.

        Example:
            >>> Display(unit="nats per EXAMPLE").of("rows").unit
            'nats per row'
        """
        one = noun.removesuffix("s")
        title, unit = (text.replace("EXAMPLE", one) for text in (self.title, self.unit))
        return replace(self, title=title, unit=unit)

    def fill(self, template: str, row: Row) -> str:
        """Fill a template with the metrics of a row; a missing metric is shown as nan."""
        return template.format_map(_Shown(row))
