"""Bits per character: their value without latents, below it with, and the files of a run."""

from __future__ import annotations

import math

import pytest
import torch

from relaxit.cli.app import run
from relaxit.data import CHARACTERS, decode_text, encode_text
from relaxit.tasks.text_vae import TextVaeTask
from relaxit.training import build, evaluation_mode, resolve, train
from relaxit.training.runs import RunDirectory, open_model, open_run
from relaxit.zoo import recipe_layers
from tests.helpers import seed

LENGTH = 16


@pytest.fixture
def words(tmp_path):
    """A text of two words at random: 3 bits per single character, a quarter of a bit in truth."""
    chosen = torch.randint(2, (4000,), generator=seed(0)).tolist()
    (tmp_path / "words.txt").write_text("".join(["abcd", "ef\nh"][c] for c in chosen))
    return tmp_path


def config(directory, **settings):
    data = {"name": "text", "options": {"file": "words.txt", "length": LENGTH}}
    small = {
        "task": {"name": "text-vae", "options": {"hidden": [16]}},
        "relaxation": {"name": "categorical", "options": {"categories": 4}},
        "data": {**data, "dir": str(directory)},
        "latents": 4,
        "epochs": 8,
        "device": "cpu",
        "engine": "eager",
        "optimizer": {"lr": 1e-2},
    }
    return resolve([small, settings])


def entropy(part):
    counts = torch.bincount(part.inputs.flatten(), minlength=len(CHARACTERS)).double()
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * shares.log2()).sum())


def test_without_a_signal_the_bits_are_those_of_single_characters(words):
    experiment = build(config(words))
    model = experiment.model
    with torch.no_grad():
        for convolutions in (model.encoder, model.decoder):
            convolutions.last.weight.zero_()
    bits = experiment.evaluate("train", 0)["train_bits_per_character"]
    # Initial probabilities of absent characters are not quite 0.
    assert bits == pytest.approx(entropy(experiment.data.train), abs=0.01)
    assert experiment.evaluate("test", 0)["test_kl"] == pytest.approx(0, abs=1e-4)


def test_training_finds_which_characters_go_together(words):
    experiment = build(config(words))
    outcome = train(experiment)
    last = outcome.rows[-1]
    assert entropy(experiment.data.test) == pytest.approx(3, abs=0.01)
    assert last["test_bits_per_character"] < 1
    assert last["test_bits_per_character"] > 0.2  # the truth: not even a bound can be below it
    for part in ("train", "test"):
        nats = -last[f"{part}_elbo_discrete"]
        assert last[f"{part}_bits_per_character"] == pytest.approx(nats / LENGTH / math.log(2))
        assert nats == pytest.approx(last[f"{part}_reconstruction"] + last[f"{part}_kl"])


def test_files_of_a_run_are_text(words, tmp_path):
    path = tmp_path / "run"
    assert run(["train", "--task", "text-vae", "--data-dir", str(words), "-d", "file=words.txt",
                "-d", f"length={LENGTH}", "--latents", "8", "--epochs", "1", "-t", "hidden=[8]",
                "--device", "cpu", "--out", str(path), "--quiet"]) == 0  # fmt: skip
    for name in TextVaeTask.files:
        assert (path / name).is_file()
    assert [p.name for p in path.glob("*.png")] == ["curves.png"]
    samples = (path / "samples.txt").read_text(encoding="utf-8").splitlines()
    assert len(samples) == 64
    assert all(len(line) == LENGTH for line in samples)
    rows = (path / "reconstructions.txt").read_text(encoding="utf-8").splitlines()
    held = [text.replace("\n", "⏎") for text in decode_text(open_run(path).data.test.inputs)]
    originals = rows[::3]
    assert len(originals) == 16
    assert set(originals) <= set(held)
    assert {len(line) for line in rows[1::3]} == {LENGTH}
    assert set(rows[2::3]) == {""}


def test_a_loaded_run_decodes_its_samples_without_its_data(words, tmp_path):
    experiment = build(config(words, epochs=1))
    directory = RunDirectory(tmp_path / "run")
    directory.create(False)
    directory.write_config(experiment.config, experiment.data.format)
    train(experiment, directory)
    (words / "words.txt").unlink()
    task, setup, model, _ = open_model(directory.path, "cpu")
    with evaluation_mode(model):
        samples = task.sample_prior(setup, model, 5, seed=3)
    texts = task.as_text(samples)
    assert [encode_text(text).tolist() for text in texts] == samples.tolist()


def test_seeds_trained_together_are_those_trained_alone(words, tmp_path):
    flags = ["train", "--task", "text-vae", "--data-dir", str(words), "-d", "file=words.txt", "-d",
             f"length={LENGTH}", "--latents", "8", "--epochs", "1", "-t", "hidden=[8]", "--device",
             "cpu", "--engine", "eager", "--quiet"]  # fmt: skip
    together, alone = tmp_path / "together", tmp_path / "alone"
    assert run([*flags, "--ensemble", "seeds=2", "--out", str(together)]) == 0
    assert run([*flags, "--seed", "1", "--out", str(alone)]) == 0
    key = "test_bits_per_character"
    expected = RunDirectory(alone).read_metrics()[-1][key]
    member = next(path for path in sorted(together.iterdir()) if path.name.endswith("1"))
    assert RunDirectory(member).read_metrics()[-1][key] == pytest.approx(expected, rel=1e-3)


BAD = [
    ("-t block=5", 2, "passages of 16 characters are not divisible into blocks of 5; set -t block"),
    ("--latents 6", 2, "6 latents are not divisible among 4 blocks of 4 characters; set --latents"),
    ("-t likelihood=bernoulli", 2, "-t likelihood must be 'categorical'"),
    ("-t block=0", 2, "-t block must be greater than 0"),
    ("--dataset digits", 2, "needs inputs that are integers of shape [any] per example from 0 to"),
    ("-d length=100000", 4, "characters are not two passages of 100000"),
    ("-d file=wrods.txt", 4, "did you mean words.txt?"),
]


@pytest.mark.parametrize(("flags", "code", "said"), BAD)
def test_what_does_not_fit_is_rejected_in_one_line(
    words, tmp_path, monkeypatch, capsys, flags, code, said
):
    monkeypatch.chdir(tmp_path)
    data = [] if "digits" in flags else ["-d", "file=words.txt", "-d", f"length={LENGTH}"]
    command = ["train", "--task", "text-vae", "--data-dir", str(words), *data, *flags.split()]
    assert run([*command, "--device", "cpu"]) == code
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert said in lines[0]


def test_the_recipe_is_the_task_on_python_s_help_texts():
    chosen = resolve(recipe_layers("text-vae"))
    assert (chosen.task.name, chosen.data.name) == ("text-vae", "text")
    experiment = build(chosen.model_copy(update={"device": "cpu"}))
    assert experiment.data.train.inputs.shape[1] == 64
