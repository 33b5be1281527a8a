"""One cell of a stored study, all seeds as one; a short trial tells how many epochs fit."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from commands import relaxit
from page import number, table, wrap
from results import Result, read_json
from session import Session

MNIST = ("estimators-mnist", "8x4", "st-gumbel")  # study, size, estimator
WITHOUT_DATA = ("polynomial", "p=2", "straight-through")
SEEDS, DRY_SEEDS = 10, 2
TRY = 2  # epochs; in a dry run there are no more


def work(session: Session, result: Result) -> None:
    began = time.monotonic()
    document = attempt(session, result, "reproduce-try", TRY)
    if document and not session.dry:
        seconds = document["cells"][0]["seconds"]
        start = time.monotonic() - began - seconds
        most = document["study"]["recipe"]["epochs"]
        epochs = min(most, fitting(session.left, start, seconds / TRY))
        if epochs > TRY:
            document = attempt(session, result, "reproduce", epochs) or document
    if document:
        enter(result, document)


def attempt(session: Session, result: Result, name: str, epochs: int) -> dict[str, Any] | None:
    """Run so many epochs, and return the document."""
    study, size, estimator = MNIST if session.data_dir else WITHOUT_DATA
    command = relaxit(
        name,
        *("reproduce", study, "--sizes", size, "--estimators", estimator, *session.data),
        *("--seeds", DRY_SEEDS if session.dry else SEEDS, "--device", session.device),
        *("--epochs", epochs, "--out", f"{name}.json"),
    )
    (ended,) = session.run(result, [command])
    document = read_json(session.files / f"{name}.json")
    if document is None and not ended.cut:
        result.fail(f"relaxit {name}", ended.last_line)
    return document


def fitting(left: float, start: float, seconds: float) -> int:
    """Return the number of epochs that fit into a time, less a fifth: a cut cell gives nothing.

    Args:
        left: seconds that remain.
        start: seconds until the first epoch begins.
        seconds: seconds per epoch.
    """
    return int((0.8 * left - start) / max(seconds, 1e-3))


def enter(result: Result, document: Mapping[str, Any]) -> None:
    """Enter what the page shows, and what is off."""
    (cell,) = document["cells"]
    name = ", ".join((document["study"]["name"], cell["size"], cell["estimator"]))
    result.documents["reproduce"] = document
    result.figures = {
        "cell": name,
        "way": cell["way"],
        "seeds": len(document["seeds"]),
        "epochs": max((len(rows) for rows in cell["rows"].values()), default=0),
        "seconds": cell["seconds"],
        "comparisons": document["comparisons"],
        "foot": document["foot"],
    }
    for each in document["comparisons"]:
        if each["verdict"] in ("off", "diverged"):
            what = f"{name}, epoch {each['epoch']}, {each['column']}"
            result.fail(what, f"{each['verdict']}: z {number(each['z'])}")


def show(figures: dict[str, Any]) -> Iterator[str]:
    way = "as one ensemble" if figures["way"] == "ensemble" else "in turn"
    seeds, epochs, seconds = figures["seeds"], figures["epochs"], figures["seconds"]
    yield wrap(f"{figures['cell']}: {seeds} seeds {way}, {epochs} epochs in {seconds:.0f} s.")
    rows = [
        [
            f"{each['column']}, epoch {each['epoch']}",
            with_error(each["mean"], each["error"]),
            with_error(each["target"], each["target_error"]),
            number(each["z"]),
            each["verdict"],
        ]
        for each in figures["comparisons"]
    ]
    yield table(["", "ours", "target", "z", "verdict"], rows)
    yield from map(wrap, figures["foot"])


def with_error(value: float | None, error: float | None) -> str:
    """Format a value and its standard error, where they are known."""
    if value is None:
        return "-"
    return f"{value:.6g}" if error is None else f"{value:.6g} ± {error:.2g}"
