"""``relaxit bench startup`` runs the programs that are asked for."""

import json

from relaxit.cli.app import run


def test_startup_runs_what_is_asked(capsys, monkeypatch, tmp_path):
    from relaxit.bench.processes import programs

    def takes(program, directory, threads):
        if program.name == "relaxit list":
            raise programs.ProgramFailed("exit code 1: no list")
        return programs.Run(float(len(program.name)), {"first line": 1.25})

    monkeypatch.setattr(programs, "run_program", takes)
    names = ["python", "import torch", "relaxit list", "relaxit train --epochs 1"]
    only = [word for name in names for word in ("--only", name)]
    assert run(["bench", "startup", *only, "--device", "cpu", "--out", "found.json"]) == 0
    out = capsys.readouterr().out
    rows = {line.strip().partition("  ")[0]: line.split() for line in out.splitlines()}
    assert rows["python"][1:] == ["6.00", "6.00", "6.00", "0.50"]
    assert rows["import torch"][-1] == "1.00"
    assert rows["relaxit list"][2] == "failed"
    assert rows["to first line"][-3:] == ["1.25", "1.25", "1.25"]
    assert "  relaxit list: failed: ProgramFailed: exit code 1: no list" in out.splitlines()
    (found,) = json.loads((tmp_path / "found.json").read_text())["benchmarks"]
    assert [row["name"] for row in found["rows"]] == names
