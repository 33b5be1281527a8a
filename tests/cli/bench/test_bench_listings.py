"""Benchmarks in ``relaxit list``, ``show`` and ``plugins``, and the help of ``relaxit bench``."""

import json
import subprocess
import sys

import pytest

from relaxit.cli.app import run

COMMANDS = ("sampling", "structures", "training", "gradients")


def test_it_is_listed_shown_and_not_checked(known, capsys):
    assert run(["list", "--json"]) == 0
    assert {"name": known, "summary": "figures that are known", "distribution": "session"} in (
        json.loads(capsys.readouterr().out)["benchmark"]
    )
    assert run(["show", known, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["kind"], facts["options"][0]["default"]) == ("benchmark", "1000")
    assert facts["structure"] == "test-structure"
    assert run(["show", known]) == 0
    assert "  belongs to test-structure\n" in capsys.readouterr().out
    assert run(["check", known]) == 2
    assert run(["plugins", "--json"]) == 0
    plugins = json.loads(capsys.readouterr().out)
    assert {"benchmark": [known]} in [plugin["provides"] for plugin in plugins]


@pytest.mark.parametrize(
    "arguments", [["bench", "--help"], *(["bench", name, "--help"] for name in COMMANDS)]
)
def test_help_loads_no_torch(arguments):
    code = f"import sys; from relaxit.cli.app import run; run({arguments}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert arguments[-2] in done.stdout
    assert "torch" not in done.stdout.split()
