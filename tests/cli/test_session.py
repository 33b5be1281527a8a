"""What every measuring command owes to its session: what is done is kept, whatever ends the run."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

from relaxit.cli.session import Session
from relaxit.errors import CheckpointError, ConfigurationError, DataError


@dataclass(kw_only=True)
class Counting(Session[SimpleNamespace]):
    """Its results are numbers, until one of the given exceptions is raised."""

    count: int = 2
    ends: BaseException | None = None
    code: int = 0

    def results(self, device):
        for number in range(self.count):
            print("printed by what is measured")
            self.progress(f"detail {number}")
            self.step(f"step {number}")
            yield SimpleNamespace(value=number, measured=True)
        if self.ends:
            raise self.ends

    def show(self, result):
        if not self.json:
            print(f"result {result.value}")

    def document(self):
        return {"stopped": self.stopped, "values": [each.value for each in self.done]}

    def judge(self):
        return self.code


class Making(Counting):
    makes_directories = True


def session(*files, cls=Counting, **options):
    return cls(device="cpu", files=[Path(name) for name in files], **{"json": False, **options})


def exit_code(measured):
    with pytest.raises(typer.Exit) as done:
        measured.run()
    return done.value.exit_code


@pytest.mark.parametrize("code", [0, 5])
@pytest.mark.parametrize("as_json", [True, False])
def test_results_are_shown_and_delivered(code, as_json, capsys):
    assert exit_code(session("a.json", "b.json", json=as_json, code=code)) == code
    out, err = capsys.readouterr()
    whole = {"stopped": False, "values": [0, 1]}
    assert [json.loads(Path(name).read_text()) for name in ("a.json", "b.json")] == [whole, whole]
    if as_json:
        assert json.loads(out) == whole
    else:
        first, *results = out.splitlines()
        assert first.startswith("device cpu (")
        assert results == ["result 0", "result 1"]
    lines = err.splitlines()
    assert [line for line in lines if line.startswith("step")] == ["step 0", "step 1"]
    assert lines.count("printed by what is measured") == 2
    assert "detail" not in err  # shown in place, on a terminal only


def test_quiet_says_nothing_but_the_results(capsys):
    assert exit_code(session(quiet=True)) == 0
    out, err = capsys.readouterr()
    assert "result 1" in out
    assert set(err.splitlines()) == {"printed by what is measured"}


class Stopped(KeyboardInterrupt):
    """Ctrl-C in a measurement, with what was measured of it."""

    report = SimpleNamespace(value=9, measured=True)


@pytest.mark.parametrize(
    ("ends", "raised", "values"),
    [
        (KeyboardInterrupt(), typer.Abort, [0, 1]),
        (Stopped(), typer.Abort, [0, 1, 9]),
        (DataError("no data"), DataError, [0, 1]),
        (KeyError("a defect"), KeyError, [0, 1]),
    ],
)
def test_what_is_done_is_kept(ends, raised, values, capsys):
    Path("a.json").write_text("of a former call")
    with pytest.raises(raised):
        session("a.json", ends=ends, json=True).run()
    kept = {"stopped": True, "values": values}
    assert json.loads(Path("a.json").read_text()) == kept
    out = capsys.readouterr().out
    assert (json.loads(out) == kept) if raised is typer.Abort else (out == "")


@pytest.mark.parametrize("ends", [KeyboardInterrupt(), DataError("no data"), None])
def test_without_a_result_the_file_of_a_former_call_stays(ends):
    Path("a.json").write_text("of a former call")
    with pytest.raises((typer.Abort, DataError, typer.Exit)):
        session("a.json", count=0, ends=ends).run()
    assert Path("a.json").read_text() == "of a former call"


def test_the_document_is_printed_though_the_disk_is_full(monkeypatch, capsys):
    def full(path, content):
        raise CheckpointError(f"cannot write {path}")

    monkeypatch.setattr("relaxit.files.write_atomically", full)
    with pytest.raises(CheckpointError):
        session("a.json", json=True).run()
    assert json.loads(capsys.readouterr().out)["values"] == [0, 1]


def test_what_is_no_number_is_null(monkeypatch, capsys):
    monkeypatch.setattr(Counting, "document", lambda self: {"x": [math.nan, math.inf]})
    assert exit_code(session("a.json", json=True)) == 0
    for text in (Path("a.json").read_text(), capsys.readouterr().out):
        assert json.loads(text, parse_constant=pytest.fail) == {"x": [None, None]}


def test_directories_are_made_where_the_command_says_so():
    with pytest.raises(ConfigurationError, match=r"--out new/a\.json"):
        session("new/a.json")
    made = session("new/a.json", cls=Making)
    assert not Path("new").exists()
    assert exit_code(made) == 0
    assert [path.name for path in Path("new").iterdir()] == ["a.json"]


def test_a_number_of_threads_that_the_machine_cannot_have_is_rejected():
    for number in (0, -1, 10**6):
        with pytest.raises(ConfigurationError, match="--threads must be from 1 to"):
            session(threads=number)
