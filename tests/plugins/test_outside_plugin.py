"""Outside plugins as a user has them: packages, built and installed by pip beside relaxit.

One plugin from the template, four that are broken and one that prints, all in one environment of
their own. A broken one is named wherever it matters, and disturbs no other.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import pytest

from relaxit.cli.app import run
from relaxit.plugins.scaffold import new_plugin

# By metadata: looking for the module pip makes setuptools give its distutils up in this process,
# and torch's compiler, which a later test runs, then fails.
INSTALLED = {dist.name.lower() for dist in metadata.distributions()}
pytestmark = [
    pytest.mark.slow,
    *(
        pytest.mark.skipif(name not in INSTALLED, reason=f"{name} builds the plugins, none here")
        for name in ("pip", "hatchling")
    ),
]

CONTRACT = Path(__file__).parents[2] / "docs" / "contract.md"
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
CAUSES = {
    "crash": "import failed: ModuleNotFoundError: No module named 'a_library_that_is_not_there'",
    "clash": "relaxation 'categorical' is provided by relaxit-framework and relaxit-clash",
    "future": "relaxation 'future' was written for api 99, this relaxit has api 1",
    "misspelt": "unknown hook 'relaxit_relaxation'",
}
SPELLINGS = ("relaxit-framework:categorical", "relaxit-clash:categorical")

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
SMALL = "--epochs 1 --latents 2 --batch-size 300 --device cpu"


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


@pytest.fixture(scope="module")
def outside(tmp_path_factory) -> Outside:
    return Outside(tmp_path_factory.mktemp("outside"))


@pytest.fixture(scope="module")
def listed(outside) -> dict[str, dict]:
    done = outside.relaxit("plugins --json")
    assert done.code == 0, done.err
    return {plugin["name"]: plugin for plugin in json.loads(done.out)}


@pytest.fixture(scope="module")
def trained(outside) -> Path:
    done = outside.relaxit(f"train --relaxation demo {SMALL} --out run --json")
    assert done.code == 0, done.err
    assert math.isfinite(json.loads(done.out)["test_elbo_discrete"])
    return outside.directory / "run"


@pytest.fixture(scope="module")
def refusals(outside) -> dict[str, tuple[int, str]]:
    """What one is told who asks for a name that cannot be used."""
    names = ["categorical", "crash", "future", "misspelt", "bins"]
    lines = [f"train --relaxation {name} --dry-run" for name in names]
    return dict(zip(names, outside.several(*lines), strict=True))


# --- what is listed ---------------------------------------------------------------------------


def test_every_plugin_is_listed_with_distribution_and_version(listed):
    wanted = {name: (distribution, version) for name, (distribution, version, _) in WRITTEN.items()}
    wanted["demo"] = ("relaxit-demo", "0.1.0")
    found = {name: (p["distribution"], p["version"]) for name, p in listed.items()}
    assert wanted.items() <= found.items()
    assert found["categorical"][0] == "relaxit-framework"


@pytest.mark.parametrize("name", CAUSES)
def test_a_broken_plugin_is_listed_with_its_cause(listed, name):
    assert listed[name]["state"] == "broken"
    (problem,) = listed[name]["problems"]
    assert CAUSES[name] in problem


def test_the_others_are_sound(listed):
    assert {p["name"] for p in listed.values() if p["state"] != "ok"} == set(CAUSES)
    assert listed["demo"]["provides"] == {"relaxation": ["demo"]}
    assert listed["demo"]["remarks"] == []
    assert listed["chatty"]["remarks"] == ["printed 6 characters to stdout on import"]


def test_the_table_names_them_too(outside):
    done = outside.relaxit("plugins")
    assert done.code == 0
    for name, (distribution, version, _) in WRITTEN.items():
        (line,) = (row for row in done.out.splitlines() if row.split()[:1] == [name])
        assert f"{distribution} {version}" in line
        assert CAUSES.get(name, "printed 6 characters") in line
        assert ("broken" in line) == (name in CAUSES)
    assert "relaxit-demo 0.1.0" in done.out


# --- the sound ones ---------------------------------------------------------------------------


def test_the_template_passes_its_check(outside):
    done = outside.relaxit("check demo")
    assert done.code == 0, done.out + done.err


def test_the_template_trains_and_the_run_records_it(trained):
    saved = json.loads((trained / "config.json").read_text())
    assert saved["config"]["relaxation"]["name"] == "demo"
    (record,) = (p for p in saved["plugins"] if p["name"] == "demo")
    assert (record["distribution"], record["version"]) == ("relaxit-demo", "0.1.0")
    assert record["provides"] == {"relaxation": ["demo"]}
    assert {p["name"]: p["state"] for p in saved["plugins"]}["crash"] == "broken"


def test_its_run_elsewhere_names_the_distribution_to_install(trained, capsys):
    assert run(["evaluate", str(trained)]) == 5  # here, where the plugin is not
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert "which came from relaxit-demo 0.1.0: install that plugin" in err


def test_a_plugin_that_prints_leaves_json_pure(outside):
    done = outside.relaxit(f"train --relaxation chatty {SMALL} --out chatty --json")
    assert done.code == 0, done.err
    assert math.isfinite(json.loads(done.out)["test_elbo_discrete"])
    assert "hello" in done.err


# --- the broken ones --------------------------------------------------------------------------


def test_a_name_of_two_distributions(outside, refusals):
    code, said = refusals["categorical"]
    assert code == 5
    assert all(spelling in said for spelling in SPELLINGS)
    choices = (*SPELLINGS, "binary")
    train = f"train {SMALL} --quiet --relaxation"
    lines = [f"{train} {choice} --out run-{i}" for i, choice in enumerate(choices)]
    assert outside.several(*lines) == [(0, "")] * 3


@pytest.mark.parametrize("name", ["crash", "future", "misspelt"])
def test_asking_for_a_broken_one_tells_its_cause(refusals, name):
    code, said = refusals[name]
    assert code == 5
    assert CAUSES[name] in said
    assert WRITTEN[name][0] in said


def test_a_miss_names_all_that_are_broken(refusals):
    code, said = refusals["bins"]
    assert code == 2
    assert all(f"Plugin {name!r} (relaxit-{name} " in said for name in CAUSES)


def test_strict(outside):
    done = outside.relaxit("--strict-plugins plugins")
    assert done.code == 5
    (error,) = (line for line in done.err.splitlines() if line.startswith("error: "))
    assert any(f"plugin {name!r} (relaxit-{name} " in error for name in CAUSES)
    assert done.out == ""


def test_strict_without_the_broken_ones(outside):
    disabled = "crash,clash,relaxit-future,relaxit-misspelt"
    done = outside.relaxit("--strict-plugins plugins", RELAXIT_DISABLE_PLUGINS=disabled)
    assert done.code == 0, done.err
    assert done.out.count("disabled") == 4
