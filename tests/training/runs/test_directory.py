"""Run directories: never shared, and what their configuration file has in it."""

import json

import pytest
from pydantic import Field

import relaxit
from relaxit.errors import CheckpointError
from relaxit.training.runs.directory import RunDirectory
from tests.training.signs import Sign
from tests.training.small import small_config
from tests.training.small_runs import run_at


def test_new_run_directories_are_never_shared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = small_config({"recipe": "../x y"})
    made = [RunDirectory.fresh(config).path for _ in range(5)]
    assert len(set(made)) == 5
    assert all(path.parent.name == "runs" for path in made)


def test_option_defaults_are_saved_with_the_run(tmp_path):
    class Optional(Sign):
        name = "test-optional"

        class Options(relaxit.Options):
            level: int = Field(3, description="a default that may change")

    relaxit.register(Optional)
    try:
        run_at(tmp_path / "run", {"relaxation": {"name": "test-optional", "options": {}}})
        saved = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
        assert saved["relaxation"] == {"name": "test-optional", "options": {"level": 3}}
    finally:
        relaxit.unregister(Optional)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"format": 99}', '{"format": 1, "config": {"latents": 0}}']
)
def test_a_damaged_config_is_named(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        RunDirectory(tmp_path).read_config()
