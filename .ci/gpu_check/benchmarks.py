"""Benchmarks of sampling, of training steps, and those of plugins."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from commands import Command, relaxit
from machine import listed
from page import items, number, table, wrap
from results import Result, read_json
from session import OWN, Session

EPOCH = 600  # steps of `relaxit bench training` in an epoch of MNIST
SIZE = ("batch", "latents", "categories")
SIZES = ((4096, 30, 10), (100, 30, 10), (1024, 1, 1000), (64, 1, 32_000))  # most informative first
BENCH = ("--rounds", "100", "--seconds", "0.5")
STEPS = ("--steps", "100", "--rounds", "5", "--seconds", "15")

# The same in a dry run.
DRY_SIZES = ((10, 3, 5),)
DRY_STRUCTURES = ("subset-slopes", "-o", "n=20", "-o", "k=3", "-o", "batch=4")
DRY_BENCH = ("--rounds", "3", "--seconds", "0", "--no-compile")
DRY_STEPS = ("--steps", "2", *DRY_BENCH)


def sampling(session: Session, result: Result) -> None:
    """Run one command per size."""
    words = ("--device", session.device, *(DRY_BENCH if session.dry else BENCH))
    commands = []
    for size in DRY_SIZES if session.dry else SIZES:
        name = f"bench sampling {'x'.join(map(str, size))}"
        flags = [f"{key}={value}" for key, value in zip(SIZE, size, strict=True)]
        options = [word for flag in flags for word in ("-o", flag)]
        commands.append(relaxit(name, "bench", "sampling", *options, *words))
    run(session, result, commands)


def steps(session: Session, result: Result) -> None:
    """Time training in blocks of steps."""
    words = ("--device", session.device, *session.data, *(DRY_STEPS if session.dry else STEPS))
    run(session, result, [relaxit("bench training", "bench", "training", *words)])
    if not session.data_dir:
        result.notes.append("Random images in place of MNIST; a step takes as long.")


def structures(session: Session, result: Result) -> None:
    """Run the benchmarks of plugins: one command per package, independent of the others."""
    packages: dict[str, list[str]] = {}
    for each in listed(session, result).get("benchmark", []):
        if each["distribution"] != OWN:
            packages.setdefault(each["distribution"], []).append(each["name"])
    if session.dry:
        packages = {DRY_STRUCTURES[0]: list(DRY_STRUCTURES)}
    words = ("--device", session.device, *(DRY_BENCH if session.dry else BENCH))
    commands = [
        relaxit(f"bench structures {package}", "bench", "structures", *names, *words)
        for package, names in packages.items()
    ]
    run(session, result, commands)


def run(session: Session, result: Result, commands: Sequence[Command]) -> None:
    """Run benchmark commands, each with a file of its results, and condense them."""
    result.figures = {"tables": []}
    with_files = [
        dataclasses.replace(each, words=(*each.words, "--json", "--out", f"{each.stem}.json"))
        for each in commands
    ]
    for ended in session.run(result, with_files):
        document = read_json(ended.out.with_suffix(".json"))
        if document:  # partial results, if the command was cut
            result.documents[ended.name] = document
            for benchmark in document["benchmarks"]:
                enter(result, benchmark)
        elif not ended.cut:
            result.fail(f"relaxit {ended.name}", ended.last_line)


def enter(result: Result, benchmark: Mapping[str, Any]) -> None:
    """Enter a table, and what failed."""
    result.figures["tables"].append(condense(benchmark))
    if benchmark["reason"]:
        result.fail(benchmark["name"], benchmark["reason"])
    for row in benchmark["implementations"]:
        if row["outcome"] == "failed":
            result.fail(f"{benchmark['name']}: {row['name']}", row["reason"])


def condense(benchmark: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page shows of a benchmark."""
    implementations, lower_bound = benchmark["implementations"], benchmark["lower_bound"]
    medians = {row["name"]: row["seconds"]["median"] for row in implementations if row["seconds"]}
    compiled = compiled_form(benchmark, medians)
    keys = ("name", "outcome", "reason", "ratio", "times_lower_bound", "memory_bytes", "compiled")
    rows = []
    for row in implementations:
        entry = {key: row[key] for key in (*keys, "first_seconds")}
        entry["seconds"] = seconds = medians.get(row["name"])
        entry["to_compiled"] = seconds / medians[compiled] if seconds and compiled else None
        rows.append(entry)
    return {
        **{key: benchmark[key] for key in ("name", "reference", "rounds")},
        "options": {k: v for k, v in benchmark["options"].items() if k != "data_dir"},
        "compiled": compiled,
        "lower_bound": lower_bound["seconds"] if lower_bound else None,
        "rows": rows,
    }


def compiled_form(benchmark: Mapping[str, Any], medians: Mapping[str, float]) -> str | None:
    """Return the fastest compiled implementation of PyTorch; else the compiled reference."""
    rows = [
        row for row in benchmark["implementations"] if row["compiled"] and row["name"] in medians
    ]
    torchs = [row["name"] for row in rows if row["baseline"] == "torch"]
    same = [row["name"] for row in rows if row["name"] == f"{benchmark['reference']} compiled"]
    return min(torchs or same, key=lambda name: medians[name], default=None)


def show(figures: dict[str, Any]) -> Iterator[str]:
    for each in figures["tables"]:
        yield from show_benchmark(each)


def show_benchmark(each: Mapping[str, Any]) -> Iterator[str]:
    """Yield a heading, a table, a sentence and remarks."""
    block = each["options"].get("steps")
    factor, unit = (EPOCH / block, "s/epoch") if block else (1e3, "ms")
    yield f"### {each['name']}: {', '.join(f'{k} {v}' for k, v in each['options'].items())}"
    rows = [
        [
            row["name"],
            number(row["seconds"], factor) if row["outcome"] == "done" else row["outcome"],
            *(number(row[key]) for key in ("ratio", "to_compiled", "times_lower_bound")),
            number(row["memory_bytes"], 2**-20),
        ]
        for row in each["rows"]
        if row["outcome"] != "skipped"  # named in the remarks
    ]
    yield table(["", unit, "ratio", "/ comp.", "bounds", "MiB"], rows, drop_empty=True)
    text = f"{each['rounds']} rounds; ratios to {each['reference']}"
    text += f"; / comp.: to {each['compiled']}" if each["compiled"] else ""
    text += (
        f"; lower bound {number(each['lower_bound'], factor)} {unit}" if each["lower_bound"] else ""
    )
    yield wrap(f"{text}.")
    yield items(remarks(each["rows"]))


def remarks(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield how long compilation took, and what was skipped for which reason."""
    calls = [
        f"{row['name']} {number(row['first_seconds'])} s"
        for row in rows
        if row["compiled"] and row["first_seconds"] is not None
    ]
    if calls:
        yield f"first calls: {', '.join(calls)}"
    skips: dict[str, list[str]] = {}
    for row in rows:
        if row["outcome"] == "skipped":
            skips.setdefault(row["reason"], []).append(row["name"])
    yield from (f"skipped: {', '.join(names)}: {why}" for why, names in skips.items())
