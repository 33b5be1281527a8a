"""``relaxit reproduce`` as a person and as a program meet it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from relaxit.cli import output
from relaxit.cli.app import run
from relaxit.errors import CheckpointError
from tests.reproduce.small import cell, write_study


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """What the small study comes to, so that targets can be right or wrong."""
    directory = tmp_path_factory.mktemp("truth")
    path = write_study(directory)
    out = directory / "out.json"
    assert run(["reproduce", str(path), "--epochs", "1", "--out", str(out), "--quiet"]) in (0, 6)
    return {c["column"]: c["mean"] for c in json.loads(out.read_text())["comparisons"]}


def reproduce(path, *flags):
    return run(["reproduce", str(path), "--epochs", "1", "--device", "cpu", *flags])


def test_lists_the_studies(capsys):
    assert run(["reproduce"]) == 0
    first = capsys.readouterr().out
    assert "estimators-mnist" in first
    assert run(["reproduce", "--list", "--json"]) == 0
    assert {"estimators-mnist", "polynomial"} <= json.loads(capsys.readouterr().out).keys()


def test_agreement_is_0_and_leaves_a_document_and_a_table(truth, capsys):
    path = write_study(Path(), cell(train=truth["train"], test=truth["test"]))
    assert reproduce(path, "--json") == 0
    said = capsys.readouterr()
    whole = json.loads(said.out)
    assert [c["verdict"] for c in whole["comparisons"]] == ["agrees", "agrees"]
    assert whole["seeds"] == [0, 1, 2]
    assert whole["cells"][0]["way"] == "ensemble"
    table = next(Path("reproductions").glob("small-*.md")).read_text()
    assert "| 4x3 st-gumbel |     1 |" in table
    assert "| agrees" in table
    cells = [cell.strip() for cell in table.split("\n\n")[2].splitlines()[-1].split("|")]
    assert "  ".join(cells).split() in [line.split() for line in said.err.splitlines()]
    assert json.loads(next(Path("reproductions").glob("small-*.json")).read_text()) == whole


def test_a_cell_that_is_off_is_6(truth, capsys):
    path = write_study(Path(), cell(train=truth["train"] + 5, test=truth["test"]))
    assert reproduce(path, "--out", "r.md") == 6
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("error: 1 of 2 comparisons are off")
    assert "4x3 st-gumbel" in line
    assert "off (train)" in Path("r.md").read_text()
    assert reproduce(path, "--out", "r.md", "--tolerance", "1000", "--quiet") == 0


def test_one_seed_has_no_error_and_nothing_is_invented(truth, capsys):
    path = write_study(Path(), cell(train=99.0))
    assert reproduce(path, "--seeds", "1", "--json", "--quiet") == 0
    said = capsys.readouterr()
    assert said.err == ""
    found = json.loads(said.out)["comparisons"]
    assert {c["verdict"] for c in found} == {"no error known"}
    assert {c["z"] for c in found} == {c["error"] for c in found} == {None}


def test_no_target_reached_is_0_and_said(capsys):
    text = cell().replace("epoch = 1", "epoch = 2")
    assert reproduce(write_study(Path(), text), "--seeds", "2") == 0
    assert "nothing is compared" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--sizes 4x4", "Did you mean 4x3?"),
        ("--estimators st-gumbl", "Did you mean st-gumbel?"),
        ("--ensemble perhaps", "auto, always or never"),
        ("--out r.txt", "must end in .json or .md"),
        ("--tolerance 0", "must be greater than 0"),
        ("--seeds 0", "--seeds"),
        ("--device cuda:99", "is not available"),
    ],
)
def test_mistakes_are_one_line_and_2(flags, message, capsys):
    assert reproduce(write_study(Path()), *flags.split()) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert message in lines[-1]
    assert not Path("reproductions").exists()


def no_training(*args, **kwargs):
    raise AssertionError("trained before the file was tried")


@pytest.mark.parametrize(
    ("out", "code", "message"),
    [
        ("directory.json", 2, "--out directory.json must be a file"),
        ("small.toml/r.json", 4, "Not a directory"),
        ("small.toml/deeper/r.md", 4, "Not a directory"),
        pytest.param(
            "/proc/nowhere/r.json", 4, "cannot write /proc/nowhere/r.json",
            marks=pytest.mark.skipif(not Path("/proc/self").exists(), reason="no such file system"),
        ),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_written_is_rejected_before_training(
    out, code, message, monkeypatch, capsys
):
    monkeypatch.setattr("relaxit.reproduce.run.run_cell", no_training)
    path = write_study(Path())
    Path("directory.json").mkdir()
    assert reproduce(path, "--out", out) == code
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line


def test_directories_that_cannot_be_made_are_rejected_before_training(monkeypatch, capsys):
    monkeypatch.setattr("relaxit.reproduce.run.run_cell", no_training)
    Path("reproductions").touch()
    assert reproduce(write_study(Path())) == 4
    assert "cannot write reproductions" in capsys.readouterr().err


def test_missing_directories_are_made_once_there_is_something_to_write():
    path = write_study(Path(), cell(train=99.0))
    assert reproduce(path, "--seeds", "1", "--out", "new/deeper/r.json", "--device", "cuda:99") == 2
    assert sorted(each.name for each in Path().iterdir()) == ["small.toml"]
    assert reproduce(path, "--seeds", "1", "--out", "new/deeper/r.json") == 0
    assert [each.name for each in Path("new/deeper").iterdir()] == ["r.json"]


def test_the_document_is_printed_though_the_disk_is_full_in_the_end(monkeypatch, capsys):
    def full(path, content):
        raise CheckpointError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr("relaxit.files.write_atomically", full)
    assert reproduce(write_study(Path()), "--seeds", "1", "--json", "--out", "r.json") == 4
    said = capsys.readouterr()
    assert "No space left" in said.err
    assert len(json.loads(said.out)["cells"]) == 1


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_value_that_is_not_finite_is_6_and_the_other_cells_are_run(seeds, monkeypatch, capsys):
    from relaxit.tasks.vae.task import VaeTask

    evaluate = VaeTask.evaluate

    def broken(self, setup, model, part, seed):
        found = evaluate(self, setup, model, part, seed)
        if setup.latents == 5 and setup.seed == 0:
            found["elbo_discrete"] = float("nan")
        return found

    monkeypatch.setattr(VaeTask, "evaluate", broken)
    path = write_study(Path(), cell("bad", recipe="latents = 5"), cell("good"))
    flags = ["--seeds", str(seeds), "--json", "--out", "r.json", "--tolerance", "1e9"]
    assert reproduce(path, *flags) == 6
    said = capsys.readouterr()
    assert said.err.strip().splitlines()[-1].endswith("or diverged: bad st-gumbel")
    for text in (said.out, Path("r.json").read_text()):
        whole = json.loads(text, parse_constant=pytest.fail)
        assert [c["size"] for c in whole["cells"]] == ["bad", "good"]
        assert whole["cells"][0]["rows"]["0"][0]["test_elbo_discrete"] is None
        by = {(c["size"], c["column"]): c for c in whole["comparisons"]}
        assert by["bad", "test"]["verdict"] == "diverged"
        assert by["bad", "test"]["diverged"] == [0]
        assert len(by["bad", "test"]["values"]) == seeds - 1
        fine = "agrees" if seeds > 1 else "no error known"
        assert {by["bad", "train"]["verdict"], by["good", "test"]["verdict"]} == {fine}


def test_an_unknown_study_is_2(capsys):
    assert run(["reproduce", "polynomal"]) == 2
    assert "Did you mean polynomial?" in capsys.readouterr().err


def test_missing_data_is_4_and_finished_cells_are_kept(capsys):
    missing = cell("mnist", recipe="data = { name = 'mnist' }")
    path = write_study(Path(), cell(), missing)
    assert reproduce(path, "--data-dir", "nowhere", "--out", "r.json", "--seeds", "2") == 4
    assert "mnist is not in nowhere" in capsys.readouterr().err
    assert [c["size"] for c in json.loads(Path("r.json").read_text())["cells"]] == ["4x3"]
    assert reproduce(path, "--sizes", "mnist", "--data-dir", "nowhere", "--out", "s.json") == 4
    assert not Path("s.json").exists()


def interrupt_at(monkeypatch, beginning):
    """Ctrl-C comes as soon as a line with this beginning is printed."""

    def tell(message, quiet=False):
        output.tell(message, quiet)
        if message.startswith(beginning):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("relaxit.cli.session.tell", tell)


def test_ctrl_c_in_the_first_cell_leaves_the_file_of_a_former_call(monkeypatch, capsys):
    interrupt_at(monkeypatch, "cell 1/1, 4x3 st-gumbel: 2 seeds")
    Path("r.json").write_text("of a former call")
    assert reproduce(write_study(Path()), "--out", "r.json", "--seeds", "2", "--json") == 130
    assert Path("r.json").read_text() == "of a former call"
    said = capsys.readouterr()
    assert said.err.strip().endswith("no cell is finished: nothing is written")
    assert json.loads(said.out)["cells"] == []


def test_an_error_in_the_first_cell_leaves_the_file_of_a_former_call():
    path = write_study(Path(), cell("mnist", recipe="data = { name = 'mnist' }"))
    Path("r.json").write_text("of a former call")
    assert reproduce(path, "--data-dir", "nowhere", "--out", "r.json") == 4
    assert Path("r.json").read_text() == "of a former call"


def test_ctrl_c_keeps_finished_cells_and_is_130(monkeypatch, capsys):
    interrupt_at(monkeypatch, "cell 2/3, b st-gumbel: 2 seeds")
    path = write_study(Path(), cell(), cell("b"), cell("c"))
    assert reproduce(path, "--out", "r.json", "--seeds", "2") == 130
    assert [c["size"] for c in json.loads(Path("r.json").read_text())["cells"]] == ["4x3"]
    assert "cell 2/3, b st-gumbel: stopped, not counted" in capsys.readouterr().err
