"""Tables of measurements, with the machine they were made on and what a lower bound is made of."""

import torch

from relaxit.cli.app import run
from tests.cli.bench.quick import QUICK, SMALL


def test_a_table_says_what_was_measured_on_what(known, capsys):
    assert run(["bench", "structures", known, "-o", "n=500", *QUICK, "--threads", "1"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].startswith("device cpu (")
    assert ", 1 CPU thread on " in lines[0]
    assert f"torch {torch.__version__}, 20" in lines[0]
    assert "test-known: figures that are known (n 500)" in lines
    right = next(line.split() for line in lines if line.split()[:1] == ["right"])
    assert right[3:] == [right[3], "1.00", "1.00", "0.00191", "0.0e+00", "0.0e+00"]
    assert "  2 rounds; ratios to right, the best baseline is right" in lines
    assert "  inputs 0.00191 MiB" in lines
    assert "  absent: skipped: a_baseline_that_nobody_has is not installed" in lines
    assert any(line.startswith("  raises: failed: RuntimeError: ") for line in lines)
    assert err == ""


def test_a_lower_bound_is_shown_with_what_it_is_made_of(capsys):
    arguments = ["sampling", "categorical-hard", *SMALL, "--only", "relaxit", *QUICK]
    assert run(["bench", *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("rates for lower bounds: copies ")
    assert "million random numbers/s" in lines[1]
    head = next(line.split() for line in lines if line.split()[:1] == ["implementation"])
    assert "bounds" in head
    (lower_bound,) = [line for line in lines if line.startswith("  lower bound ")]
    assert " ms: " in lower_bound
    assert "memory " in lower_bound
    assert "random numbers " in lower_bound
