"""A run is opened only with what it was trained with; its files import nothing."""

import json

import pytest

from relaxit.data.splits import ColumnFormat, Format
from relaxit.errors import PluginError
from relaxit.training.runs.directory import RunDirectory
from relaxit.training.runs.loading import open_run
from tests.training.small import small_config
from tests.training.small_runs import run_at


def test_a_missing_plugin_is_named_with_what_to_install(tmp_path):
    run_at(tmp_path / "run", {"epochs": 1})
    path = tmp_path / "run" / "config.json"
    saved = json.loads(path.read_text())
    saved["config"]["relaxation"]["name"] = "trees"
    saved["plugins"].append(
        {
            "name": "t",
            "distribution": "relaxit-trees",
            "version": "0.3",
            "provides": {"relaxation": ["trees"]},
        }
    )
    path.write_text(json.dumps(saved))
    with pytest.raises(PluginError, match=r"relaxit-trees 0\.3: install that plugin"):
        open_run(tmp_path / "run")


def test_dotted_paths_in_a_config_import_nothing(tmp_path):
    config = small_config({"relaxation": {"name": "os.system", "options": {}}})
    run = RunDirectory(tmp_path / "run")
    run.create(overwrite=False)
    run.write_config(config, Format({"inputs": ColumnFormat("float32", (8, 8))}))
    with pytest.raises(PluginError, match=r"os\.system"):
        open_run(run.path)


@pytest.mark.parametrize("kind", ["relaxation", "estimator"])
def test_what_a_further_variable_needs_is_named_too(tmp_path, kind):
    other = {"relaxation": {"name": "binary"}, "estimator": {"name": "pathwise"}}
    other[kind] = {"name": "trees"}
    run = RunDirectory(tmp_path / "run")
    run.create(overwrite=False)
    run.write_config(small_config({"variables": {"other": other}}), Format({}))
    with pytest.raises(PluginError, match=f"needs {kind} 'trees', which came from an unknown"):
        run.read_config()
