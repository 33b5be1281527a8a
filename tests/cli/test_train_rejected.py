"""Bad input of ``relaxit train`` is answered in one line, and nothing is written."""

import pytest

from relaxit.cli.app import run
from tests.cli.short_runs import SMALL, last_line
from tests.data.idx_files import write_set

BAD_TRAIN = [
    ("--relaxation categorcal", 2, "unknown relaxation 'categorcal'. Did you mean categorical?"),
    ("--estimator pathwize", 2, "Did you mean pathwise?"),
    ("--dataset mnst", 2, "Did you mean mnist"),
    ("--recipe tutorial-mnit", 2, "Did you mean tutorial-mnist"),
    ("--recipe absent.toml", 2, "absent.toml does not exist"),
    ("-o categories=ten", 2, "categorical: -o categories must be an integer, got 'ten'"),
    ("-o categories=0", 2, "categorical: -o categories must be at least 1, got 0"),
    (
        "-o kategories=3",
        2,
        "categorical has no option kategories (did you mean categories?); it has: categories",
    ),
    ("--relaxation subset", 2, "subset needs n and k: -o n=20 -o k=10"),
    ("--relaxation subset -o n=20", 2, "subset needs k: -o k=10"),
    ("--estimator-option x=3", 2, "pathwise has no option x; it has: none"),
    ("--estimator rloo --estimator-option samples=1", 2, "-e samples must be at least 2, got 1"),
    ("--task polynomial --task-option p=-1", 2, "-t p must be greater than 0, got -1"),
    ("-o categories", 2, "-o takes KEY=VALUE, got 'categories'; write -o categories=VALUE"),
    ("-o categories=1000000000", 2, "GiB"),
    ("--temperature 0", 2, "--temperature"),
    ("--temperature -1", 2, "--temperature"),
    ("--temperature nan", 2, "--temperature"),
    ("--temperature inf", 2, "--temperature"),
    ("--schedule sudden", 2, "--schedule"),
    ("--schedule learned --estimator rloo", 2, "gives the temperature no gradient"),
    ("--schedule exponential --temperature 0.1 --final-temperature 1", 2, "exponential"),
    ("--latents 0", 2, "--latents"),
    ("--epochs -1", 2, "--epochs"),
    ("--epochs two", 2, "--epochs must be an integer, got 'two'. See relaxit train --help."),
    ("--batch-size 0", 2, "--batch-size"),
    ("--lr nan", 2, "--lr"),
    ("--seed -1", 2, "--seed"),
    ("--validation 100000", 2, "--validation"),
    ("--kl relaxed --estimator st-gumbel", 2, "soft samples"),
    ("--device tpu", 2, "tpu"),
    ("--device cuda:77", 2, "cuda:77"),
    ("--bogus", 2, "No such option: --bogus. See relaxit train --help."),
    ("--lattents 3", 2, "No such option: --lattents. Did you mean --latents?"),
    ("--dataset mnist --data-dir nowhere", 4, "--download"),
    ("--resume nowhere", 4, "not a run directory"),
    ("--recipe tutorial-mnist --out x --relaxation", 2, "--relaxation"),
    ("--relaxation test-sign -o n=2", 2, "test-sign"),
]


@pytest.mark.parametrize(("flags", "code", "said"), BAD_TRAIN)
def test_bad_input_is_one_line_and_writes_nothing(tmp_path, capsys, flags, code, said):
    assert run(["train", *SMALL, *flags.split()]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    assert err.startswith("error: ")
    assert said in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    ["seed = 2020-01-01", "data = { name = [1] }", "[model]\nhidden = [-4]", "[when]\ndigits = 3"],
)
def test_odd_recipes_are_configuration_errors(tmp_path, capsys, text):
    (tmp_path / "odd.toml").write_text(text)
    assert run(["train", *SMALL, "--recipe", "odd.toml", "--dry-run"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_truncated_data_file(tmp_path, capsys):
    path = write_set(tmp_path, "MNIST") / "t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-5])
    assert run(["train", *SMALL, "--dataset", "mnist", "--data-dir", str(tmp_path)]) == 4
    assert "truncated" in last_line(capsys)
