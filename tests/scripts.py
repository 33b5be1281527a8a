"""The example scripts, imported, and run as a reader would run them."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


def examples_of(test: str) -> Path:
    """Return the directory of examples of the package to which a file of tests belongs."""
    return next(each / "examples" for each in Path(test).parents if (each / "examples").is_dir())


def load(script: Path):
    """Import an example, to call its functions."""
    spec = importlib.util.spec_from_file_location(f"example_{script.stem}", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(
    script: str | Path, *arguments: str, cwd: Path, logs: bool = False, **variables: str
) -> str:
    """Run an example on one thread and return what it printed.

    Args:
        script: path, that of a package's example or one below ``examples``.
        logs: whether it may write to stderr, as other people's programs do.
        variables: environment variables to add.
    """
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / script), *arguments],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert logs or not done.stderr
    return done.stdout
