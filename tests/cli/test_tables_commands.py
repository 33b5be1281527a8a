"""The tables of every command on terminals of 80 and 60 columns."""

from __future__ import annotations

import json
import re

import pytest

from relaxit.bench.processes.programs import Program, Run, time_programs
from relaxit.cli.app import run
from relaxit.cli.bench.table import print_programs
from relaxit.plugins import default_registry
from tests.cli.bench.quick import QUICK
from tests.cli.bench.quick import SMALL as SMALL_BENCH
from tests.cli.short_runs import SMALL

WIDTHS = pytest.mark.parametrize("width", [80, 60])
COMMANDS = [
    "list",
    "plugins",
    "plugins --no-load",
    "zoo list",
    "reproduce --list",
    "show categorical",
    "show arm",
    "show exact",
    "show mnist",
    "show jigsaw",
    "show permutation-plackett-luce",
    "show gumbel-softmax-function",
    "show vae-cost",
]


def lines_of(text: str, width: int) -> list[str]:
    """The lines of an output, none of which is longer than the terminal."""
    lines = text.splitlines()
    assert max(map(len, lines)) <= width, max(lines, key=len)
    return lines


@WIDTHS
@pytest.mark.parametrize("command", COMMANDS)
def test_listings_fit_and_break_no_word(command, width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    assert run(command.split()) == 0
    narrow = capsys.readouterr().out
    lines_of(narrow, width)
    monkeypatch.setenv("COLUMNS", "10000")
    assert run(command.split()) == 0
    unlimited = capsys.readouterr().out
    assert set(unlimited.split()) <= {*narrow.split(), *re.findall("─+", unlimited)}


@WIDTHS
def test_a_benchmark_fits_and_breaks_no_word(width, monkeypatch, capsys):
    arguments = ["bench", "sampling", "categorical-hard", *SMALL_BENCH, *QUICK, "--no-compile"]
    monkeypatch.setenv("COLUMNS", str(width))
    assert run([*arguments, "--out", "found.json"]) == 0
    lines = lines_of(capsys.readouterr().out, width)
    with open("found.json", encoding="utf-8") as file:
        (found,) = json.load(file)["benchmarks"]
    for each in found["implementations"]:
        assert sum(line.startswith(f"  {each['name']}  ") for line in lines) >= 1
        if each["error"]:
            assert any(f"{each['error']['absolute']:.1e}" in line.split() for line in lines)
    headings = {word for line in lines for word in line.split()}
    assert {"quartiles", "ratio", "best", "bounds", "MiB", "error", "relative"} <= headings


@WIDTHS
def test_programs_fit_and_break_no_word(width, monkeypatch, capsys):
    names = ["relaxit train --epochs 1", "an old script with a longer name of seven words"]
    programs = [Program(name, (), marks={"first line": "device "}) for name in names]
    monkeypatch.setenv("COLUMNS", str(width))
    run_of = Run(2.0, {"first line": 1.25})
    print_programs(time_programs("total", "seconds", programs, lambda _: run_of, rounds=3))
    lines = lines_of(capsys.readouterr().out, width)
    for name in (*names, "  to first line"):
        assert any(line.startswith(f"  {name}  ") for line in lines)


@WIDTHS
def test_checks_fit_and_break_no_word(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    only = ["masks_are_rejected_where_denied", "kl_to_uniform_is_usable", "sample_shapes"]
    arguments = [word for name in only for word in ("--only", name)]
    assert run(["check", "categorical", *arguments]) == 0
    lines = lines_of(capsys.readouterr().out, width)
    for name in only:
        assert any(line.startswith(f"  {name}  ") for line in lines)


@WIDTHS
def test_an_ensemble_and_a_run_fit_and_break_no_word(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    flags = [*SMALL, "--validation", "300"]
    assert run(["train", *flags, "--ensemble", "seeds=3", "--out", "all"]) == 0
    err = capsys.readouterr().err
    table = err[err.index("after epoch") : err.index("members, means")]
    lines = lines_of(table, width)
    for name in ("seed-0", "seed-1", "seed-2", "mean ± s.e. of 3"):
        assert any(line.startswith(f"  {name}  ") for line in lines)
    cells = re.findall(r"-?\d+\.\d+ ± \d+\.\d+", table)
    assert len(cells) == 6  # three metrics of two parts, none of them broken
    assert run(["evaluate", "all/seed-0"]) == 0
    lines_of(capsys.readouterr().out, width)


@WIDTHS
def test_a_comparison_fits_and_breaks_no_word(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    cell = ["--sizes", "p=2", "--estimators", "straight-through", "--device", "cpu"]
    assert run(["reproduce", "polynomial", *cell, "--seeds", "2", "--epochs", "1"]) in (0, 6)
    err = capsys.readouterr().err
    table = err[err.index("  cell") : err.index("written:")]
    lines = lines_of(table, width)
    assert any(line.startswith("  p=2 straight-through  ") for line in lines)
    assert len(re.findall(r"\d\.\d{6} ± \d\.\d{6}", table)) == 2
    assert {"cell", "epoch", "cost", "target", "z", "verdict"} <= set(table.split())


@pytest.mark.parametrize(
    "name",
    [
        name
        for kind in ("relaxation", "estimator", "dataset", "task")
        for name, cls in default_registry().items(kind).items()
        if not cls.Options.model_fields
    ],
)
def test_no_table_is_empty(name, capsys):
    assert run(["show", name]) == 0
    out = capsys.readouterr().out
    assert "options: none\n" in out
    assert "description" not in out


def test_options_are_for_relaxations(capsys):
    assert run(["show", "arm", "-o", "x=3"]) == 2
    said = "error: 'arm' is an estimator; leave out -o, which shows the shapes of a relaxation"
    assert capsys.readouterr().err.strip() == said
