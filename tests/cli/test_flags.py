"""Recipe, environment and flags make one configuration, in this order."""

import json

from relaxit.cli.app import run


def test_layers_of_configuration(tmp_path, monkeypatch, capsys):
    (tmp_path / "mine.toml").write_text("epochs = 3\nlatents = 5\nbatch_size = 7\n")
    monkeypatch.setenv("RELAXIT_LATENTS", "6")
    monkeypatch.setenv("RELAXIT_BATCH_SIZE", "8")
    assert run(["train", "--recipe", "mine.toml", "--batch-size", "9", "--dry-run"]) == 0
    config = json.loads(capsys.readouterr().out)
    assert (config["epochs"], config["latents"], config["batch_size"]) == (3, 6, 9)
    assert config["recipe"] == "mine"
    (tmp_path / "again.json").write_text(json.dumps(config))
    monkeypatch.delenv("RELAXIT_LATENTS")
    monkeypatch.delenv("RELAXIT_BATCH_SIZE")
    assert run(["train", "--recipe", "again.json", "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out) == config
    assert {p.name for p in tmp_path.iterdir()} == {"mine.toml", "again.json"}


def test_a_temperature_alone_is_constant(capsys):
    assert run(["train", "--temperature", "0.2", "--dry-run"]) == 0
    settings = json.loads(capsys.readouterr().out)["temperature"]
    assert (settings["schedule"], settings["initial"]) == ("constant", 0.2)
    assert run(["train", "--temperature", "2", "--schedule", "cosine", "--dry-run"]) == 0
    settings = json.loads(capsys.readouterr().out)["temperature"]
    assert (settings["schedule"], settings["initial"]) == ("cosine", 2.0)


def test_options_of_another_relaxation_do_not_inherit_the_recipes(capsys):
    assert run(["train", "--relaxation", "binary", "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out)["relaxation"] == {"name": "binary", "options": {}}
