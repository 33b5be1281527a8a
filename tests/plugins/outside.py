"""Outside plugins, and an environment in which pip has installed them beside relaxit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

from relaxit.plugins.scaffold import new_plugin
from tests.pages import page_of

CONTRACT = page_of("contract")
BINS = CONTRACT.read_text().partition("```python\n")[2].partition("```")[0]

# Distribution, version and module of each plugin that is written here; the name of its entry
# point is that of the relaxation one would ask for.
WRITTEN = {
    "crash": ("relaxit-crash", "1.2", "import a_library_that_is_not_there\n" + BINS),
    "clash": ("relaxit-clash", "1.3", BINS.replace('"bins"', '"categorical"')),
    "future": ("relaxit-future", "1.4", BINS.replace('= 1, "bins"', '= 99, "future"')),
    "misspelt": (
        "relaxit-misspelt",
        "1.5",
        BINS.replace("relaxit_relaxations", "relaxit_relaxation"),
    ),
    "chatty": ("relaxit-chatty", "1.6", "print('hello')\n" + BINS.replace('"bins"', '"chatty"')),
}

PROJECT = """\
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "{distribution}"
version = "{version}"
dependencies = ["relaxit-framework"]

[project.entry-points."relaxit.plugins"]
{name} = "{module}"

[tool.hatch.build.targets.wheel]
only-include = ["{module}.py"]
"""
ONE = "import sys; from relaxit.cli.app import run; sys.exit(run())"
SEVERAL = """
import json, sys
from relaxit.cli.app import run
print(json.dumps([run(line.split()) for line in sys.argv[1:]]))
"""


class Done(NamedTuple):
    code: int
    out: str
    err: str


def write_package(directory: Path, name: str) -> Path:
    distribution, version, source = WRITTEN[name]
    module, package = distribution.replace("-", "_"), directory / distribution
    package.mkdir()
    (package / f"{module}.py").write_text(source)
    project = PROJECT.format(name=name, distribution=distribution, version=version, module=module)
    (package / "pyproject.toml").write_text(project)
    return package


def outside_environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RELAXIT_", "PIP_", "PYTHON"))}
    return {**kept, "OMP_NUM_THREADS": "1", "COLUMNS": "300", "NO_COLOR": "1"}


class Outside:
    """An environment that has the plugins, and sees relaxit and torch of the one running this."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.python = directory / "env" / "bin" / "python"
        if os.name == "nt":
            self.python = directory / "env" / "Scripts" / "python.exe"
        self._run(sys.executable, "-m", "venv", "--without-pip", str(directory / "env"))
        purelib = "import sysconfig; print(sysconfig.get_path('purelib'))"
        inside = Path(self._run(str(self.python), "-c", purelib).out.strip())
        # addsitedir, unlike a plain path, follows the .pth file of an editable relaxit too.
        lines = [
            f"import site; site.addsitedir({sysconfig.get_path(key)!r})\n"
            for key in ("purelib", "platlib")
        ]
        (inside / "beside.pth").write_text("".join(dict.fromkeys(lines)))
        packages = [
            new_plugin("demo", directory),
            *(write_package(directory, name) for name in WRITTEN),
        ]
        pip = [sys.executable, "-m", "pip", "--isolated", "--python", str(self.python), "install"]
        flags = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
        done = self._run(*pip, *flags, *map(str, packages))
        assert done.code == 0, done.err

    def relaxit(self, line: str, **environ: str) -> Done:
        """One command line in a process of its own."""
        return self._run(str(self.python), "-c", ONE, *line.split(), **environ)

    def several(self, *lines: str) -> list[tuple[int, str]]:
        """Code and error of each command line; one process for all, because torch loads slowly."""
        done = self._run(str(self.python), "-c", SEVERAL, *lines)
        assert done.code == 0, done.err
        codes = json.loads(done.out.splitlines()[-1])
        errors = iter(line for line in done.err.splitlines() if line.startswith("error: "))
        return [(code, next(errors) if code else "") for code in codes]

    def _run(self, *words: str, **environ: str) -> Done:
        done = subprocess.run(
            words,
            cwd=self.directory,
            env={**outside_environment(), **environ},
            capture_output=True,
            text=True,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)
