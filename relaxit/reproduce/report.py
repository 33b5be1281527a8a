"""What a reproduction leaves behind: one document, and a table that a person reads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from relaxit.environment import versions
from relaxit.json_text import without_nan
from relaxit.reproduce.comparison import Comparison
from relaxit.reproduce.run import CellRun
from relaxit.reproduce.study import Cell, Study

__all__ = ["comparison_table", "footer", "markdown_table", "study_document"]

_NONE = "-"


def comparison_table(study: Study, comparisons: Sequence[Comparison]) -> str:
    """A table in Markdown, aligned, a line for each cell and epoch.

    Example:
        >>> from relaxit.reproduce.study import find
        >>> found = [Comparison("p=2", "rloo", 1, "cost", (0.25, 0.26), 0.2, 0.0, 3.0)]
        >>> print(comparison_table(find("polynomial"), found))
        | cell     | epoch | cost                | target              | z    | verdict |
        |----------|-------|---------------------|---------------------|------|---------|
        | p=2 rloo |     1 | 0.255000 ± 0.005000 | 0.200000 ± 0.000000 | 11.0 | off     |
    """
    columns = [name for name in study.columns if any(c.column == name for c in comparisons)]
    heading = ["cell", "epoch"]
    for name in columns:
        heading += [name, "target", "z"]
    lines = [[*heading, "verdict"]]
    for (size, estimator, epoch), group in _grouped(comparisons).items():
        line = [f"{size} {estimator}", str(epoch)]
        for name in columns:
            c = group.get(name)
            line += [_NONE] * 3 if c is None else _three(c, study.decimals)
        lines.append([*line, _verdict(group)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    right = {n for n, name in enumerate(heading) if name in ("epoch", "z")}
    shown = [
        "| "
        + " | ".join(
            cell.rjust(width) if n in right and number else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        + " |"
        for number, line in enumerate(lines)
    ]
    shown.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(shown)


def _grouped(
    comparisons: Sequence[Comparison],
) -> dict[tuple[str, str, int], dict[str, Comparison]]:
    found: dict[tuple[str, str, int], dict[str, Comparison]] = {}
    for c in comparisons:
        found.setdefault((c.size, c.estimator, c.epoch), {})[c.column] = c
    return found


def _three(c: Comparison, decimals: int) -> list[str]:
    """Ours, target, z."""
    pairs = ((c.mean, c.error), (c.target, c.target_error))
    shown = []
    for value, error in pairs:
        text = _NONE if math.isnan(value) else f"{value:.{decimals}f}"
        shown.append(text if error is None else f"{text} ± {error:.{decimals}f}")
    return [*shown, _NONE if c.z is None else f"{c.z:.1f}"]


def _verdict(group: Mapping[str, Comparison]) -> str:
    """The worst of them, and of which columns it is if not of all."""
    for verdict in ("diverged", "off", "no error known", "agrees"):
        names = [name for name, c in group.items() if c.verdict == verdict]
        if not names:
            continue
        seeds = dict.fromkeys(seed for name in names for seed in group[name].diverged)
        if seeds:
            return f"{verdict} (seed {', '.join(map(str, seeds))})"
        return verdict if len(names) == len(group) else f"{verdict} ({', '.join(names)})"
    return _NONE


_WIDE = 5.0
"""Times the largest error of a target, beyond which ours is no measure of agreement."""


def footer(study: Study, comparisons: Sequence[Comparison], seeds: int) -> list[str]:
    """Sentences that a reader of the table must know."""
    lines = [f"Targets: {study.source}"]
    if not comparisons:
        lines.append("No epoch with a target was reached: nothing is compared.")
    elif seeds < 2:
        lines.append("One seed has no standard error: z cannot be had.")
    else:
        lines.append(
            f"{seeds} seeds, from 0; se: standard error. z is the difference over both errors "
            f"together; off beyond {comparisons[0].tolerance:g}."
        )
    if comparisons and study.error is not None:
        e = study.error
        lines.append(
            f"Errors of targets are known as a range only: taken is our own spread over seeds "
            f"divided by the root of {e.seeds}, kept within {e.least:g} and {e.most:g}."
        )
        lines += [
            f"{c.size} {c.estimator}, epoch {c.epoch}, {c.column}: our seeds lie between "
            f"{min(c.values):.{study.decimals}f} and {max(c.values):.{study.decimals}f}, far more "
            "apart than that range allows; z says little."
            for c in comparisons
            if (c.error or 0.0) > _WIDE * e.most
        ]
    return [*lines, *([study.note] if study.note else [])]


def markdown_table(study: Study, comparisons: Sequence[Comparison], seeds: int) -> str:
    """The table as a page of Markdown."""
    lines = [f"# {study.name}", study.summary]
    lines += [comparison_table(study, comparisons)] if comparisons else []
    return "\n\n".join([*lines, *footer(study, comparisons, seeds)]) + "\n"


def study_document(
    study: Study,
    seeds: Sequence[int],
    epochs: int | None,
    device: str,
    runs: Sequence[tuple[Cell, CellRun]],
    comparisons: Sequence[Comparison],
) -> dict[str, Any]:
    """All of it, for JSON: every seed's metrics, the comparisons, versions and times.

    JSON knows neither infinity nor NaN: None stands for both.

    Args:
        study: the study.
        seeds: that were asked for.
        epochs: that were asked for; None for the study's own number.
        device: where it ran.
        runs: the cells that were finished.
        comparisons: of all of them.
    """
    whole = {
        "study": study.model_dump(mode="json", exclude={"cells"}),
        "seeds": list(seeds),
        "epochs": epochs,
        "device": device,
        "versions": versions(),
        "foot": footer(study, comparisons, len(seeds)),
        "cells": [
            {
                "size": cell.size,
                "estimator": cell.estimator,
                "recipe": cell.recipe,
                "way": run.way,
                "reason": run.reason,
                "seconds": run.seconds,
                "diverged": {str(seed): step for seed, step in run.lost.items()},
                "rows": {str(seed): rows for seed, rows in run.rows.items()},
            }
            for cell, run in runs
        ],
        "comparisons": [_plain(c) for c in comparisons],
    }
    document: dict[str, Any] = without_nan(whole)
    return document


def _plain(c: Comparison) -> dict[str, Any]:
    return {
        "size": c.size,
        "estimator": c.estimator,
        "epoch": c.epoch,
        "column": c.column,
        "values": list(c.values),
        "mean": c.mean,
        "error": c.error,
        "target": c.target,
        "target_error": c.target_error,
        "z": c.z,
        "tolerance": c.tolerance,
        "diverged": list(c.diverged),
        "verdict": c.verdict,
    }
