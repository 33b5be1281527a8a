"""One list of tested versions: script, workflow, lower bounds and documentation agree with it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.pages import page_of

ROOT = Path(__file__).parents[2]
MATRIX = ROOT / ".ci" / "matrix"

pytestmark = pytest.mark.skipif(not MATRIX.exists(), reason="not in a checkout")


def versions() -> list[tuple[str, str]]:
    """Pairs of torch and torchvision, oldest first."""
    lines = (ROOT / ".ci" / "versions.txt").read_text().splitlines()
    return [tuple(line.split()) for line in lines if not line.startswith("#")]


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def matrix(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(MATRIX), *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def test_the_list_is_in_order():
    for column in zip(*versions(), strict=True):
        assert list(column) == sorted(column, key=numbers)


def test_the_first_line_is_the_lower_bound():
    for name, oldest in zip(("torch", "torchvision"), versions()[0], strict=True):
        bounds = [d for d in project()["dependencies"] if re.match(rf"{name}\W", d)]
        assert [f"{bound}.0" for bound in bounds] == [f"{name}>={oldest}"]


def test_the_page_has_every_version():
    page = page_of("versions").read_text()
    first = page.partition("## ")[0]
    rows = re.findall(r"^\| ([\d.]+) \| ([\d.]+) \|", first, re.M)
    assert rows == versions()


def test_the_workflow_takes_both_ends():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert workflow["permissions"] == {"contents": "read"}
    ends = {
        e["torch"]: e["python"] for e in workflow["jobs"]["test"]["strategy"]["matrix"]["include"]
    }
    assert set(ends) == {"oldest", "newest"}
    assert project()["requires-python"] == f">={ends['oldest']}"
    named = [c.rpartition(" ")[2] for c in project()["classifiers"] if ":: Python :: 3." in c]
    assert named == sorted(named, key=numbers)
    assert numbers(ends["newest"]) >= numbers(named[-1])
    text = str(workflow)
    assert not [v for pair in versions() for v in pair if v in text]


def test_what_the_core_leaves_out_exists():
    (aside,) = re.findall(r"^aside=\((.*?)\)", MATRIX.read_text(), re.M | re.S)
    assert [path for path in aside.split() if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["2.9"], "no torch 2.9 in"),
        (["2.1"], "no torch 2.1 in"),  # not 2.10
        (["newest", "nonsense"], "no torch nonsense in"),
        (["--python", "no-such-python", "newest"], "no-such-python is not a Python"),
        (["--python", "true", "newest"], "true is not a Python"),
        (["--python"], "takes a value"),
        (["--fast", "newest"], "no option --fast"),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_made(arguments, complaint, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    done = matrix(*arguments)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1
    assert not done.stdout
    assert not list(tmp_path.iterdir())


def test_without_a_version_the_usage_is_shown():
    done = matrix()
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")
    assert matrix("--help").stdout == done.stderr


# Stands for an interpreter: says its version, and makes an environment whose Python is INNER.
OUTER = """#!/usr/bin/env bash
case $1 in
  -c) echo 3.11.0; echo "$0" ;;
  -m) mkdir -p "$3/bin" && cp "${0%/*}/inner" "$3/bin/python" ;;
esac
"""

# Writes down what it was asked for. PIP_FAILS_ON names a version that cannot be installed.
INNER = """#!/usr/bin/env bash
shift
echo "$@" >> "$ASKED"
case "$*" in
  "pip install --no-compile torch==$PIP_FAILS_ON "*) exit 1 ;;
  pytest*) [ -e .ci/matrix ] && echo "$PYTEST_SAYS" ; exit "$PYTEST_EXITS" ;;
esac
"""


@pytest.fixture
def pretend(tmp_path, monkeypatch):
    """Runs the matrix with nothing installed and nothing tested; answers what it was asked too."""
    for name, code in (("outer", OUTER), ("inner", INNER)):
        (tmp_path / name).write_text(code)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))

    def run(*arguments, says="3 passed, 2 skipped in 1.00s", exits=0, pip_fails_on="none"):
        monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
        monkeypatch.setenv("PYTEST_SAYS", says)
        monkeypatch.setenv("PYTEST_EXITS", str(exits))
        monkeypatch.setenv("PIP_FAILS_ON", pip_fails_on)
        done = matrix("--python", str(tmp_path / "outer"), *arguments)
        assert not list((tmp_path / "tmp").iterdir())  # everything is removed
        rows = [re.split(r" *\| *", line)[1:-1] for line in done.stdout.splitlines()[-9:]]
        return done, [row for row in rows if row and row[0][:1].isdigit()], tmp_path / "asked"

    return run


def test_all_versions_one_after_another(pretend):
    done, rows, asked = pretend("all", "--", "tests/noise/test_noise.py", "-x")
    assert done.returncode == 0, done.stderr
    assert [(row[0], row[1]) for row in rows] == versions()
    assert {row[2] for row in rows} == {"3.11.0"}
    assert {row[4] for row in rows} == {"3 passed, 0 failed, 2 skipped"}
    lines = asked.read_text().splitlines()
    assert lines[::2] == [
        f"pip install --no-compile torch=={a} torchvision=={b} -r requirements-dev.txt"
        for a, b in versions()
    ]
    assert set(lines[1::2]) == {"pytest -n 2 --dist loadfile tests/noise/test_noise.py -x"}


def test_the_ends_and_a_version_named_in_short(pretend):
    short = versions()[1][0].rpartition(".")[0]
    _, rows, asked = pretend("--core", "newest", short, "oldest")
    wanted = [versions()[-1], versions()[1], versions()[0]]
    assert [(row[0], row[1]) for row in rows] == wanted
    assert asked.read_text().count("--ignore=tests/cli") == 3


@pytest.mark.parametrize(
    ("says", "result"),
    [
        (
            "28 failed, 9281 passed, 2690 skipped, 1 xfailed, 2 warnings in 485.38s (0:08:05)",
            "9281 passed, 28 failed, 2690 skipped",
        ),
        ("==== 1 failed, 2 passed, 3 errors in 9.01s ====", "2 passed, 4 failed, 0 skipped"),
        ("killed", "broke off"),
    ],
)
def test_failures_count(pretend, says, result):
    done, rows, _ = pretend("oldest", "newest", says=says, exits=1)
    assert done.returncode == 1
    assert [row[4] for row in rows] == [result] * 2


def test_what_cannot_be_installed_fails_and_the_next_goes_on(pretend):
    done, rows, _ = pretend("oldest", "newest", pip_fails_on=versions()[0][0])
    assert done.returncode == 1
    assert [row[4] for row in rows] == ["not installed", "3 passed, 0 failed, 2 skipped"]


def test_an_interrupt_leaves_nothing(tmp_path, monkeypatch):
    for name, code in (("outer", OUTER), ("inner", "#!/usr/bin/env bash\nsleep 60\n")):
        (tmp_path / name).write_text(code)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    running = subprocess.Popen(
        [str(MATRIX), "--python", str(tmp_path / "outer"), "newest"],
        stdout=subprocess.PIPE,
        process_group=0,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored in background
    )
    running.stdout.readline(), running.stdout.readline()  # of the first version
    os.killpg(running.pid, signal.SIGINT)
    assert running.wait(30) == 130
    assert not list((tmp_path / "tmp").iterdir())
