"""Outside plugins as a user has them: packages, built and installed by pip beside relaxit.

One plugin from the template, four that are broken and one that prints, all in one environment of
their own. A broken one is named wherever it matters, and disturbs no other.
"""

from __future__ import annotations

import json
import math
from importlib import metadata
from pathlib import Path

import pytest

from relaxit.cli.app import run
from tests.plugins.outside import WRITTEN, Outside

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

CAUSES = {
    "crash": "import failed: ModuleNotFoundError: No module named 'a_library_that_is_not_there'",
    "clash": "relaxation 'categorical' is provided by relaxit-framework and relaxit-clash",
    "future": "relaxation 'future' was written for api 99, this relaxit has api 1",
    "misspelt": "unknown hook 'relaxit_relaxation'",
}
SPELLINGS = ("relaxit-framework:categorical", "relaxit-clash:categorical")
SMALL = "--epochs 1 --latents 2 --batch-size 300 --device cpu"


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
def rejections(outside) -> dict[str, tuple[int, str]]:
    """What one is told who asks for a name that cannot be used."""
    names = ["categorical", "crash", "future", "misspelt", "bins"]
    lines = [f"train --relaxation {name} --dry-run" for name in names]
    return dict(zip(names, outside.several(*lines), strict=True))


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


def test_a_name_of_two_distributions(outside, rejections):
    code, said = rejections["categorical"]
    assert code == 5
    assert all(spelling in said for spelling in SPELLINGS)
    choices = (*SPELLINGS, "binary")
    train = f"train {SMALL} --quiet --relaxation"
    lines = [f"{train} {choice} --out run-{i}" for i, choice in enumerate(choices)]
    assert outside.several(*lines) == [(0, "")] * 3


@pytest.mark.parametrize("name", ["crash", "future", "misspelt"])
def test_asking_for_a_broken_one_tells_its_cause(rejections, name):
    code, said = rejections[name]
    assert code == 5
    assert CAUSES[name] in said
    assert WRITTEN[name][0] in said


def test_a_miss_names_all_that_are_broken(rejections):
    code, said = rejections["bins"]
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
