"""`relaxit train` in each engine and precision."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks import EPOCH
from commands import Command, relaxit
from page import number, table, wrap
from results import Result, read_rows
from session import Session

WAYS = (  # the most informative first
    ("graph", "float32"),
    ("eager", "float32"),
    ("compile", "float32"),
    ("graph", "bfloat16"),
    ("graph", "tf32"),
    ("compile", "bfloat16"),
    ("compile", "tf32"),
    ("eager", "bfloat16"),
    ("eager", "tf32"),
)
DRY_WAYS = (("eager", "float32"), ("eager", "bfloat16"))
RECIPE = ("--recipe", "tutorial-mnist", "--quiet", "--json", "--overwrite")
EPOCHS = ("--epochs", "3")
DRY_EPOCHS = ("--epochs", "2", "--validation", "1000")  # 437 images are left
DIGITS = (
    "Trained on the bundled digits, 8 x 8 pixels, as the MNIST files were not given: these are not "
    "times of an epoch of MNIST, and are not compared with the script."
)


def work(session: Session, result: Result) -> None:
    """Train; the first epoch, which compiles, is reported separately."""
    ways = DRY_WAYS if session.dry else WAYS
    # Only with MNIST is the time of the script for the same number of images.
    script = script_seconds(session.results) if session.data_dir else None
    result.notes += [] if session.data_dir else [DIGITS]
    result.figures = {"script": script, "rows": []}
    commands = [command(session, *way) for way in ways]
    ends = session.run(result, commands)
    for (engine, precision), ended in zip(ways, ends, strict=True):
        if not ended.cut and ended.code != 0:
            result.fail(f"relaxit {ended.name}", ended.last_line)
        metrics = read_rows(session.files / f"{engine}-{precision}" / "metrics.jsonl")
        if rows := [row for row in metrics if "partial" not in row]:
            result.documents[ended.name] = rows
            way = {"engine": engine, "precision": precision}
            result.figures["rows"].append({**way, **figures_of(rows, script)})


def command(session: Session, engine: str, precision: str) -> Command:
    return relaxit(
        f"train {engine} {precision}",
        *("train", *RECIPE, *(session.data or ("--dataset", "digits"))),
        *(DRY_EPOCHS if session.dry else EPOCHS),
        *("--device", session.device, "--engine", engine, "--precision", precision),
        *("--out", f"{engine}-{precision}"),
    )


def script_seconds(results: Sequence[Result]) -> float | None:
    """Return the script's seconds per epoch, from the part that times blocks of steps."""
    seconds = [
        row["seconds"] * EPOCH / each["options"]["steps"]
        for result in results
        if result.name == "training"
        for each in result.figures.get("tables", [])
        for row in each["rows"]
        if row["name"] == "tutorial" and row["seconds"]
    ]
    return seconds[0] if seconds else None


def figures_of(rows: Sequence[Mapping[str, Any]], script: float | None) -> dict[str, Any]:
    """Return what the page shows of a run: its epochs after the first, and its final ELBO."""
    later = [row["seconds"] for row in rows[1:]]
    seconds = statistics.median(later) if later else None
    return {
        "epochs": len(rows),
        "first": rows[0]["seconds"],
        "seconds": seconds,
        "speed": script / seconds if script and seconds else None,
        "test_elbo": rows[-1].get("test_elbo_discrete"),
    }


def show(figures: dict[str, Any]) -> Iterator[str]:
    rows = [
        [
            f"{row['engine']}, {row['precision']}",
            *(number(row[key]) for key in ("seconds", "first", "speed")),
            str(row["epochs"]),
            "-" if row["test_elbo"] is None else f"{row['test_elbo']:.2f}",
        ]
        for row in figures["rows"]
    ]
    if script := figures["script"]:
        rows.insert(0, ["the tutorial's script", number(script), "-", "1", "-", "-"])
    heads = ["", "s per epoch", "the first", "speed", "epochs", "test ELBO"]
    yield table(heads, rows, drop_empty=True)
    yield wrap(
        "Steps only; the first epoch includes compilation and does not count. Speed: the script's "
        "time divided by this one. Test ELBO: discrete, in nats per image, after so few epochs."
    )
