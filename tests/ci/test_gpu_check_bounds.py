"""No part of ``.ci/gpu_check`` exceeds its share of the time or leaves a process behind."""

from __future__ import annotations

import os
import re
import time

import pytest

from tests.ci.gpu_check import (
    HANG,
    Result,
    gone,
    left_by,
    part,
    python,
    read_json,
    run,
    run_commands,
    text_of,
)


def test_what_hangs_is_killed_at_its_bound_with_its_children(session, tmp_path):
    file = tmp_path / "pid"
    hang = part("hang", python("sleep", HANG, file), python("late", "print(1)"))
    began = time.monotonic()
    code = run(session, [hang, part("after", python("hello", "print('hi')"))], 24.0)
    assert code == 1
    assert time.monotonic() - began < 23
    _, parts, page = left_by(tmp_path)
    assert parts["hang"]["outcome"] == "cut"
    (cut,) = parts["hang"]["cuts"]  # it had half of the time, the rest was for the other
    assert cut["what"] == "sleep"
    assert re.fullmatch(r"ended after [4-9] s, its share of the time", cut["why"])
    assert parts["hang"]["figures"] == {"late": "1\n"}
    assert parts["hang"]["share"] == pytest.approx(12, abs=0.5)
    assert parts["after"]["outcome"] == "passed"
    assert "- Hang: sleep: ended after" in page
    assert gone(int(text_of(file).rstrip(".")))


def test_the_last_command_has_all_the_time_and_no_more(session, tmp_path):
    hang = part("hang", python("sleep", "import time; time.sleep(60)"))
    assert run(session, [hang, part("after", python("hello", "print(1)"))], 8.0) == 1
    _, parts, _ = left_by(tmp_path)
    assert 3.1 < parts["hang"]["seconds"] < 4.5  # a share of 4, less a fifth to end in
    assert parts["after"]["outcome"] == "passed"


def test_ctrl_c_comes_first(session, tmp_path):
    """What a command writes when it is asked to end is not lost."""
    code = """
import json, signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it in the background
try:
    time.sleep(60)
except KeyboardInterrupt:
    json.dump({"stopped": True}, open("figures.json", "w"))
"""

    def read(session, result):
        result.documents["figures"] = read_json(session.files / "figures.json")

    assert run(session, [part("bench", python("long", code), after=read)], 5.0) == 1
    _, parts, _ = left_by(tmp_path)
    assert parts["bench"]["outcome"] == "cut"
    assert parts["bench"]["documents"]["figures"] == {"stopped": True}


def test_no_part_is_begun_without_time(session, tmp_path):
    assert run(session, [part("one", python("a", "print(1)"))], 1.0) == 1
    _, parts, _ = left_by(tmp_path)
    assert parts["one"]["outcome"] == "not run"
    assert parts["one"]["cuts"] == [{"what": "all of it", "why": "no time was left"}]


def test_children_of_what_ended_by_itself_are_killed_too(session, tmp_path):
    file = tmp_path / "pid"
    wait = (
        "while not (os.path.exists(sys.argv[1]) and os.path.getsize(sys.argv[1])): time.sleep(0.02)"
    )
    command = python("x", HANG.replace("time.sleep(60)\n", wait), file)
    end = time.monotonic() + 30
    (ended,) = run_commands([command], tmp_path, os.environ, session.stop, end)
    assert ended.code == 0
    assert gone(int(text_of(file).rstrip(".")))


def test_several_at_once(session, tmp_path):
    """Each waits for the others."""
    code = """
import pathlib, sys, time
pathlib.Path(sys.argv[1]).touch()
while len(list(pathlib.Path().glob("here-*"))) < 3: time.sleep(0.02)
"""
    session.end = time.monotonic() + 30
    result = Result("x", "X")
    commands = [python(f"n {n}", code, f"here-{n}") for n in range(3)]
    found = session.run(result, commands, jobs=3)
    assert [(each.name, each.code) for each in found] == [("n 0", 0), ("n 1", 0), ("n 2", 0)]
    assert not result.cuts
