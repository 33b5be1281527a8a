"""What a failure or a signal leaves of a run of ``.ci/gpu_check``."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

from tests.ci.gpu_check import HANG, SCRIPT, gone, left_by, part, python, run, text_of, wait_for


def test_a_failing_part_is_reported_and_the_others_go_on(session, tmp_path):
    code = "import sys; print('first', file=sys.stderr); sys.exit('error: no `such` thing')"

    def surprise(session, result):
        raise KeyError("benchmarks")

    parts = [
        part("bad", python("command", code), python("fine", "print(1)")),
        part("odd", after=surprise),
        part("good", python("hello", "print('hi')")),
    ]
    assert run(session, parts, 60.0) == 1
    document, found, page = left_by(tmp_path)
    assert document["state"] == "finished"
    assert {name: each["outcome"] for name, each in found.items()} == {
        "bad": "failed",
        "odd": "failed",
        "good": "passed",
    }
    assert found["bad"]["failures"] == [{"what": "command", "why": "error: no `such` thing"}]
    assert "- `command`: `error: no 'such' thing`" in page
    assert found["bad"]["figures"] == {"fine": "1\n"}
    assert "- `odd`: `KeyError: 'benchmarks'`" in page
    assert "No figures." in page


def test_all_passed(session, tmp_path):
    assert run(session, [part("good", python("hello", "print('hi')"))], 60.0) == 0
    assert left_by(tmp_path)[2].count("Nothing.") == 2


# The command itself, with other parts.
DRIVER = """
import runpy, sys
script, out, file, code = sys.argv[1:]
sys.path.insert(0, script)
import checks, commands, machine, suite
def replace(module, code):
    def work(session, result):
        command = commands.Command("it", (sys.executable, "-c", code, file))
        for ended in session.run(result, [command]):
            result.figures[ended.name] = ended.code
    module.work, module.show = work, lambda figures: iter(())
replace(machine, "print(1)")
replace(suite, code)
replace(checks, "")
facts = {"there": True, "torch": "2", "date": "2026", "revision": "0123"}
machine.find_facts = lambda stop, revision: (facts, "")
sys.argv = ["gpu_check", "--out", out, "--minutes", "2", "--parts", "machine,tests,checks"]
runpy.run_path(script, run_name="__main__")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_what_was_done(number, tmp_path):
    file, out = tmp_path / "pid", tmp_path / "out"
    words = [sys.executable, "-c", DRIVER, SCRIPT, out, file, HANG]
    process = subprocess.Popen([*map(str, words)], stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: (text_of(file) or "").endswith("."))
        while_running = json.loads((out / "gpu-check.json").read_text())
        process.send_signal(number)
        began = time.monotonic()
        process.communicate(timeout=20)
        assert time.monotonic() - began < 10
    finally:
        process.kill()
    assert process.returncode == 128 + number
    assert while_running["state"] == "running"
    assert [each["outcome"] for each in while_running["parts"]] == ["passed", "running", "not run"]
    document, parts, _ = left_by(out)
    assert document["state"] == f"stopped by {number.name}"
    assert {name: each["outcome"] for name, each in parts.items()} == {
        "machine": "passed",
        "tests": "cut",
        "checks": "not run",
    }
    assert parts["machine"]["figures"] == {"it": 0}
    assert parts["checks"]["cuts"][0]["why"] == f"stopped by {number.name}"
    assert gone(int(text_of(file).rstrip(".")))
