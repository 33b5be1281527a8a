"""Which modules a process of its own imports."""

from __future__ import annotations

import subprocess
import sys


def imported(code, *names):
    """Which of the modules a fresh process has imported after this code."""
    asked = f"print(*(n for n in {names!r} if n in sys.modules), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\n{asked}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stderr.split()
