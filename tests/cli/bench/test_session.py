"""The document on stdout and in a file, also after Ctrl-C."""

import itertools
import json

import pytest
import torch

import relaxit
from relaxit.bench import Implementation
from relaxit.cli.app import run
from tests.bench.implementations import Known
from tests.cli.bench.quick import QUICK


def test_json_is_alone_on_stdout_and_in_the_file(known, tmp_path, capsys):
    arguments = ["bench", "structures", known, *QUICK, "--json", "--out", "found.json"]
    assert run(arguments) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert err == ""
    assert json.loads((tmp_path / "found.json").read_text()) == document
    assert {"device", "threads", "torch", "date", "platform"} <= set(document)
    assert document["settings"]["rounds"] == 2
    (found,) = document["benchmarks"]
    assert (found["name"], found["structure"]) == (known, "test-structure")
    assert found["implementations"][0]["error"] == {
        "absolute": 0.5,
        "relative": 0.5,
        "not_finite": 0,
    }
    assert found["implementations"][4]["outcome"] == "skipped"


class Stops(Known):
    """Ctrl-C comes at one of its calls."""

    api, name = 1, "test-stops"
    at: int

    def implementations(self, device):
        calls = itertools.count(1)

        def call():
            if next(calls) == self.at:
                raise KeyboardInterrupt
            return torch.ones(3)

        return [Implementation("stops", lambda: call)]

    def oracle(self, device):
        return None


# A first call, three to warm up, one for memory, then rounds.
@pytest.mark.parametrize(("at", "rounds"), [(1, None), (6, None), (8, 2)])
@pytest.mark.parametrize("quiet", [True, False])
def test_ctrl_c_leaves_what_is_done(known, capsys, tmp_path, monkeypatch, at, rounds, quiet):
    monkeypatch.setattr(Stops, "at", at, raising=False)
    relaxit.register(Stops)
    arguments = ["bench", "structures", known, "test-stops", "--seconds", "0", "--rounds", "9"]
    try:
        assert run([*arguments, "--out", "found.json", *["--json"] * quiet]) == 130
    finally:
        relaxit.unregister(Stops)
    out, err = capsys.readouterr()
    assert err.strip().splitlines()[-1] == "error: stopped"
    document = json.loads((tmp_path / "found.json").read_text())
    assert document["stopped"] is True
    found = {each["name"]: each["rounds"] for each in document["benchmarks"]}
    assert found == ({known: 3} if rounds is None else {known: 3, "test-stops": rounds})
    assert json.loads(out) == document if quiet else all(f"{name}: " in out for name in found)
