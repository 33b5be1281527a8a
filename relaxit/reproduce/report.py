"""The output of a reproduction: one JSON document, and a table for people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from relaxit.environment import versions
from relaxit.json_text import without_nan
from relaxit.markdown import pipe_table
from relaxit.reproduce.comparison import Comparison
from relaxit.reproduce.run import CellRun
from relaxit.reproduce.study import Cell, Study

__all__ = ["comparison_rows", "comparison_table", "footer", "markdown_table", "study_document"]

_NONE = "-"


def comparison_table(study: Study, comparisons: Sequence[Comparison]) -> str:
    """Return an aligned table in Markdown, one line for each cell and epoch.

    Example:
        >>> from relaxit.reproduce import find_study
        >>> comparisons = [Comparison("p=2", "rloo", 1, "cost", (0.25, 0.26), 0.2, 0.0, 3.0)]
        >>> print(comparison_table(find_study("polynomial"), comparisons))
        | cell     | epoch | cost                | target              |    z | verdict |
        |----------|-------|---------------------|---------------------|------|---------|
        | p=2 rloo |     1 | 0.255000 ± 0.005000 | 0.200000 ± 0.000000 | 11.0 | off     |
    """
    return pipe_table(*comparison_rows(study, comparisons), right=("epoch", "z"))


def comparison_rows(
    study: Study, comparisons: Sequence[Comparison]
) -> tuple[list[str], list[list[str]]]:
    """Return the headings of the table, and one row of cells for each cell and epoch.

    Example:
        >>> from relaxit.reproduce import find_study
        >>> comparisons = [Comparison("p=2", "rloo", 1, "cost", (0.25, 0.26), 0.2, 0.0, 3.0)]
        >>> comparison_rows(find_study("polynomial"), comparisons)[0]
        ['cell', 'epoch', 'cost', 'target', 'z', 'verdict']
    """
    columns = [name for name in study.columns if any(c.column == name for c in comparisons)]
    heading = ["cell", "epoch"]
    for name in columns:
        heading += [name, "target", "z"]
    rows = []
    for (size, estimator, epoch), group in _grouped(comparisons).items():
        row = [f"{size} {estimator}", str(epoch)]
        for name in columns:
            c = group.get(name)
            row += [_NONE] * 3 if c is None else _three(c, study.decimals)
        rows.append([*row, _verdict(group)])
    return [*heading, "verdict"], rows


def _grouped(
    comparisons: Sequence[Comparison],
) -> dict[tuple[str, str, int], dict[str, Comparison]]:
    groups: dict[tuple[str, str, int], dict[str, Comparison]] = {}
    for c in comparisons:
        groups.setdefault((c.size, c.estimator, c.epoch), {})[c.column] = c
    return groups


def _three(c: Comparison, decimals: int) -> list[str]:
    """Return the cells with our mean, the target and z."""
    pairs = ((c.mean, c.error), (c.target, c.target_error))
    shown = []
    for value, error in pairs:
        text = _NONE if math.isnan(value) else f"{value:.{decimals}f}"
        shown.append(text if error is None else f"{text} ± {error:.{decimals}f}")
    return [*shown, _NONE if c.z is None else f"{c.z:.1f}"]


def _verdict(group: Mapping[str, Comparison]) -> str:
    """Return the worst verdict, with its columns unless all have it."""
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
"""Our error may be at most this multiple of the largest target error for z to be meaningful."""


def footer(study: Study, comparisons: Sequence[Comparison], seeds: int) -> list[str]:
    """Return the sentences below the table that are needed to read it."""
    lines = [f"Targets: {study.source}"]
    if not comparisons:
        lines.append("No epoch with a target was reached: nothing is compared.")
    elif seeds < 2:
        lines.append("One seed has no standard error: z cannot be computed.")
    else:
        lines.append(
            f"{seeds} seeds, from 0; ± is the standard error. z is the difference divided by both "
            f"errors combined; off beyond {comparisons[0].tolerance:g}."
        )
    if comparisons and study.error is not None:
        e = study.error
        lines.append(
            "Errors of targets are known only as a range: used is our standard deviation over "
            f"seeds divided by the square root of {e.seeds}, kept between {e.least:g} and "
            f"{e.most:g}."
        )
        lines += [
            f"{c.size} {c.estimator}, epoch {c.epoch}, {c.column}: our seeds lie between "
            f"{min(c.values):.{study.decimals}f} and {max(c.values):.{study.decimals}f}, far more "
            "apart than that range allows, so z says little."
            for c in comparisons
            if (c.error or 0.0) > _WIDE * e.most
        ]
    return [*lines, *([study.note] if study.note else [])]


def markdown_table(study: Study, comparisons: Sequence[Comparison], seeds: int) -> str:
    """Return the table as a page in Markdown."""
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
    """Return the JSON document: metrics of all seeds, comparisons, versions and times.

    JSON has neither infinity nor NaN: None stands for both.

    Args:
        study: the study.
        seeds: requested seeds.
        epochs: requested number of epochs; None for that of the study.
        device: device on which the cells ran.
        runs: finished cells.
        comparisons: comparisons of all finished cells.
    """
    content = {
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
        "comparisons": [
            asdict(c) | {"mean": c.mean, "error": c.error, "z": c.z, "verdict": c.verdict}
            for c in comparisons
        ],
    }
    document: dict[str, Any] = without_nan(content)
    return document
