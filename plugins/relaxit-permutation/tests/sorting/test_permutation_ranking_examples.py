"""The script that learns an order, run as a reader would run it."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "examples" / "learned_order.py"


def test_learned_order_improves():
    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    before, after = map(float, re.findall(r"training: ([\d.]+)", done.stdout))
    assert before < 0.6 < 0.9 < after < 1


def test_learned_order_is_short():
    text = SCRIPT.read_text(encoding="utf-8")
    docstring = ast.parse(text).body[0]
    lines = text.splitlines()[docstring.end_lineno :]
    assert len([line for line in lines if line.strip() and not line.lstrip().startswith("#")]) <= 20
