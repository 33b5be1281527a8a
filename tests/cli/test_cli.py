"""The command line as a person and as a program meet it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import relaxit
from relaxit.cli.app import run
from relaxit.training.runs.directory import RunDirectory
from tests.conftest import needs_cuda
from tests.data.test_data import write_set
from tests.training.signs import Sign

SMALL = ["--epochs", "2", "--batch-size", "300", "--device", "cpu", "--latents", "4"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Each test in an empty folder, with none of the user's environment."""
    for key in [key for key in os.environ if key.startswith("RELAXIT_")]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "run"
    assert run(["train", *SMALL, "--out", str(path), "--quiet"]) == 0
    return path


def last_line(capsys) -> str:
    lines = capsys.readouterr().err.strip().splitlines()
    return lines[-1] if lines else ""


BAD_TRAIN = [
    ("--relaxation categorcal", 2, "unknown relaxation 'categorcal'. Did you mean categorical?"),
    ("--estimator pathwize", 2, "Did you mean pathwise?"),
    ("--dataset mnst", 2, "Did you mean mnist"),
    ("--recipe tutorial-mnit", 2, "Did you mean tutorial-mnist"),
    ("--recipe absent.toml", 2, "absent.toml does not exist"),
    ("-o categories=ten", 2, "option categories"),
    ("-o categories=1", 2, "categories: Input should be greater than or equal to 2"),
    ("-o kategories=3", 2, "kategories"),
    ("-o categories", 2, "KEY=VALUE"),
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
    ("--epochs two", 2, "--epochs"),
    ("--batch-size 0", 2, "--batch-size"),
    ("--lr nan", 2, "--lr"),
    ("--seed -1", 2, "--seed"),
    ("--validation 100000", 2, "--validation"),
    ("--kl relaxed --estimator st-gumbel", 2, "soft samples"),
    ("--device tpu", 2, "tpu"),
    ("--device cuda:77", 2, "cuda:77"),
    ("--bogus", 2, "--bogus"),
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


def test_out_that_exists_is_left_alone(trained, capsys):
    before = {p: p.read_bytes() for p in trained.iterdir() if p.is_file()}
    assert run(["train", *SMALL, "--out", str(trained)]) == 2
    said = last_line(capsys)
    assert "--overwrite" in said
    assert "--resume" in said
    assert {p: p.read_bytes() for p in trained.iterdir() if p.is_file()} == before


def test_overwrite_replaces_a_run_and_nothing_else(tmp_path, capsys):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("mine")
    assert run(["train", *SMALL, "--out", "precious", "--overwrite"]) == 2
    assert "not a run directory" in last_line(capsys)
    (tmp_path / "file").write_text("mine")
    assert run(["train", *SMALL, "--out", "file"]) == 2
    assert run(["train", *SMALL, "--out", "run", "--quiet"]) == 0
    first = (tmp_path / "run" / "model.safetensors").read_bytes()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    flags = ["--out", "run", "--overwrite", "--quiet", "--seed", "1"]
    assert run(["train", *SMALL, *flags]) == 0
    assert (tmp_path / "run" / "model.safetensors").read_bytes() != first
    assert len(RunDirectory(tmp_path / "run").read_metrics()) == 2
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"
    other = tmp_path / "model"  # a folder of another project, with a config.json of its own
    other.mkdir()
    (other / "config.json").write_text('{"hidden_size": 8}')
    assert run(["train", *SMALL, "--out", "model", "--overwrite"]) == 2
    assert [p.name for p in other.iterdir()] == ["config.json"]
    assert (tmp_path / "precious" / "thesis.txt").read_text() == "mine"


def test_out_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run(["train", *SMALL, "--out", "file/below"]) == 4
    assert "file" in last_line(capsys)


def test_truncated_data_file(tmp_path, capsys):
    path = write_set(tmp_path, "MNIST") / "t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-5])
    assert run(["train", *SMALL, "--dataset", "mnist", "--data-dir", str(tmp_path)]) == 4
    assert "truncated" in last_line(capsys)


def test_json_is_alone_on_stdout_and_runs_go_to_a_new_directory(tmp_path, capsys):
    assert run(["train", *SMALL, "--json"]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert result["epoch"] == 2
    assert RunDirectory(tmp_path / result["run"]).read_metrics()[-1]["step"] == result["step"]
    lines = err.splitlines()
    assert lines[0].startswith("device cpu")
    assert sum(line.startswith("epoch ") for line in lines) == 2
    assert "surrogate: soft sample with discrete KL" in err
    first = result["run"]
    assert run(["train", *SMALL, "--json", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["run"] != first
    assert err == ""


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


@pytest.mark.parametrize("estimator", ["pathwise", "straight-through", "st-gumbel"])
@pytest.mark.parametrize("relaxation", ["categorical", "binary"])
def test_every_pair_trains(tmp_path, relaxation, estimator):
    flags = ["--relaxation", relaxation, "--estimator", estimator, "--out", "run", "--quiet"]
    assert run(["train", *SMALL, *flags]) == 0
    rows = RunDirectory(tmp_path / "run").read_metrics()
    assert rows[1]["test_elbo_discrete"] > rows[0]["test_elbo_discrete"]


@pytest.mark.parametrize(
    "flags", [["--kl", "relaxed"], ["--schedule", "learned"], ["--binarise", "dynamic"]]
)
def test_other_objectives_train(tmp_path, flags):
    assert run(["train", *SMALL, *flags, "--out", "run", "--quiet"]) == 0
    rows = RunDirectory(tmp_path / "run").read_metrics()
    assert rows[1]["test_elbo_discrete"] > rows[0]["test_elbo_discrete"]


def test_a_relaxation_defined_here_trains_and_improves(tmp_path, capsys):
    relaxit.register(Sign)
    try:
        flags = [
            "--relaxation",
            "test-sign",
            "--epochs",
            "8",
            "--batch-size",
            "50",
            "--latents",
            "10",
        ]
        assert run(["train", *flags, "--out", "run", "--quiet"]) == 0
        rows = RunDirectory(tmp_path / "run").read_metrics()
        # Without the latents the best is the mean image; they must carry something.
        assert rows[-1]["test_elbo_discrete"] > rows[0]["test_elbo_discrete"] + 0.5
        assert rows[-1]["test_kl"] > 0.5
        assert run(["evaluate", "run", "--importance-samples", "20", "--json"]) == 0
        result = json.loads(capsys.readouterr().out)
        assert result["test_importance_weighted_bound"] > result["test_elbo_discrete"]
        assert run(["sample", "run", "--count", "5", "--out", "s.png"]) == 0
        assert (tmp_path / "s.png").stat().st_size > 100
    finally:
        relaxit.unregister(Sign)
    assert run(["evaluate", "run"]) == 5  # the plugin has gone
    assert "test-sign" in last_line(capsys)


def test_evaluate_repeats_the_last_metrics(trained, capsys):
    assert run(["evaluate", str(trained), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    last = RunDirectory(trained).read_metrics()[-1]
    assert result["test_kl"] == pytest.approx(last["test_kl"], abs=1e-4)
    assert result["test_elbo_discrete"] == pytest.approx(last["test_elbo_discrete"], abs=0.5)


def test_resume_continues_and_refuses_other_changes(tmp_path, capsys):
    assert run(["train", *SMALL, "--out", "run", "--quiet"]) == 0
    assert run(["train", "--resume", "run", "--lr", "0.1"]) == 2
    assert "--lr" in last_line(capsys)
    assert run(["train", "--resume", "run", "--temperature", "0.1"]) == 2
    assert run(["train", "--resume", "run", "--epochs", "3", "--quiet"]) == 0
    assert [row["epoch"] for row in RunDirectory(tmp_path / "run").read_metrics()] == [1, 2, 3]
    capsys.readouterr()
    assert run(["train", "--resume", "run", "--json"]) == 0  # nothing left: says so, and succeeds
    assert json.loads(capsys.readouterr().out)["epoch"] == 3


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["evaluate", "nowhere"], 4),
        (["sample", "nowhere"], 4),
        (["evaluate", ".", "--importance-samples", "-1"], 2),
        (["sample", ".", "--count", "0"], 2),
        (["show", "categorcal"], 2),
        (["zoo", "show", "nothing"], 2),
        (["trian"], 2),
        (["evaluate"], 2),
    ],
)
def test_other_commands_refuse_in_one_line(capsys, arguments, code):
    assert run(arguments) == code
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.parametrize("name", ["categorical", "binary", "pathwise", "mnist"])
def test_show(capsys, name):
    assert run(["show", name, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["name"] == name
    assert all(option["description"] for option in facts["options"])
    assert run(["show", name]) == 0
    assert facts["summary"] in capsys.readouterr().out


def test_show_shapes_with_options(capsys):
    assert run(["show", "categorical", "-o", "categories=7", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["shapes"]["params"] == "[*batch, 7]"


@pytest.mark.parametrize("command", [["list"], ["plugins"], ["zoo", "list"], ["doctor"]])
def test_listings(capsys, command):
    code = run([*command, "--json"])
    assert json.loads(capsys.readouterr().out)
    assert run(command) == code == 0
    assert "categorical" in capsys.readouterr().out


def test_a_plugin_brings_a_command(monkeypatch, capsys):
    import types

    import typer

    from relaxit.cli import app as cli
    from relaxit.plugins import registry

    extra = typer.Typer(name="greet")

    @extra.command()
    def hello(name: str) -> None:
        print(f"hello {name}")

    @extra.command()
    def other() -> None:
        pass

    module = types.ModuleType("module")
    module.relaxit_commands = relaxit.hookimpl(lambda: [extra, typer.Typer(), 3])
    own = registry.Registry(entry_points=[], environ={})
    plugin = registry.PluginRecord("greeter", "dist", "1", "module")
    own.add(plugin, module)
    assert plugin.provides == {"command": ["greet"]}
    assert len(plugin.problems) == 2
    monkeypatch.setattr(registry, "default_registry", lambda: own)
    monkeypatch.setattr(cli.app, "registered_groups", list(cli.app.registered_groups))
    assert run(["greet", "hello", "you"]) == 0
    assert capsys.readouterr().out == "hello you\n"
    assert run(["greet", "hello"]) == 2
    assert run(["gret"]) == 2


def test_strict_plugins(monkeypatch, capsys):
    from relaxit.plugins import registry

    own = registry.Registry(entry_points=[], environ={})
    own.plugins.append(registry.PluginRecord("bad", "dist", "1", "m", problems=["it is broken"]))
    monkeypatch.setattr(registry, "default_registry", lambda: own)
    assert run(["--strict-plugins", "list"]) == 5
    assert "it is broken" in last_line(capsys)


def test_debug_shows_the_traceback(capsys, monkeypatch):
    monkeypatch.setenv("RELAXIT_DEBUG", "1")
    assert run(["train", "--latents", "0"]) == 2
    assert "Traceback" in capsys.readouterr().err


def fresh_process(code: str) -> str:
    # Without other plugins, which are asked for their recipes, and may load what they like.
    return subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "RELAXIT_PLUGINS": "none"},
    ).stdout


def test_what_needs_no_tensor_loads_no_torch():
    code = "import sys; from relaxit.cli.app import run; run({}); print('torch' in sys.modules)"
    for arguments in (
        ["--help"],
        ["train", "--help"],
        ["zoo", "list"],
        ["zoo", "show", "tutorial-mnist"],
        ["--version"],
    ):
        assert fresh_process(code.format(arguments)).splitlines()[-1] == "False", arguments


def test_a_reader_that_leaves_is_no_error():
    command = f"{sys.executable} -c 'from relaxit.cli import main; main()' list | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_ctrl_c_leaves_a_complete_run(tmp_path):
    command = [
        sys.executable,
        "-c",
        "from relaxit.cli import main; main()",
        "train",
        "--out",
        "run",
    ]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("epoch 2/"):
            process.send_signal(signal.SIGINT)
            break
    rest = process.stderr.read()
    assert process.wait(60) == 130
    assert "--resume run" in rest
    names = {p.name for p in Path("run").iterdir()}
    assert {
        "config.json",
        "metrics.jsonl",
        "model.safetensors",
        "samples.png",
        "curves.png",
    } <= names
    assert run(["evaluate", "run", "--json"]) == 0


def test_stopped_before_the_first_step(tmp_path, monkeypatch, capsys):
    def stop_at_once(self):
        self.exit_code = 130
        return self

    monkeypatch.setattr("relaxit.training.stopping.StopRequest.__enter__", stop_at_once)
    assert run(["train", *SMALL, "--out", "run", "--json"]) == 130
    out, err = capsys.readouterr()
    assert json.loads(out) == {"run": "run", "exit_code": 130}
    assert "--resume run" in err
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert run(["train", "--resume", "run", "--quiet"]) == 0


def test_samples_need_no_data_set(tmp_path):
    data = tmp_path / "files"
    write_set(data, "MNIST", train=40)
    flags = ["--dataset", "mnist", "--data-dir", str(data), "--out", "run", "--quiet"]
    assert run(["train", *SMALL, *flags]) == 0
    (data / "MNIST").rename(data / "gone")
    assert run(["sample", "run", "--count", "3"]) == 0
    assert (tmp_path / "run" / "samples-0.png").is_file()
    assert run(["evaluate", "run"]) == 4


@pytest.mark.parametrize(
    "text",
    ["seed = 2020-01-01", "data = { name = [1] }", "[model]\nhidden = [-4]", "[when]\ndigits = 3"],
)
def test_odd_recipes_are_configuration_errors(tmp_path, capsys, text):
    (tmp_path / "odd.toml").write_text(text)
    assert run(["train", *SMALL, "--recipe", "odd.toml", "--dry-run"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_broken_recipe_of_a_plugin_is_listed_as_such(tmp_path, monkeypatch, capsys):
    from relaxit import zoo

    (tmp_path / "bad.toml").write_text("a = ")
    own = zoo.recipes()
    monkeypatch.setattr(zoo, "recipes", lambda: {**own, "bad": tmp_path / "bad.toml"})
    assert run(["zoo", "list"]) == 0
    assert "cannot be read" in capsys.readouterr().out


def test_launcher_names_the_other_distribution(tmp_path, monkeypatch, capsys):
    import _relaxit_cli

    info = tmp_path / "relaxit-1.2.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: relaxit\nVersion: 1.2.1\n")
    assert _relaxit_cli.conflict() == ""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["relaxit", "list"])
    with pytest.raises(SystemExit) as caught:
        _relaxit_cli.main()
    assert caught.value.code == 2
    assert "pip uninstall relaxit" in capsys.readouterr().err
    assert run(["doctor"]) == 1
    assert "1.2.1" in capsys.readouterr().out


@pytest.mark.gpu
@needs_cuda
def test_auto_takes_the_gpu(capsys):
    assert run(["train", "--epochs", "1", "--out", "run"]) == 0
    assert "device cuda:0 (best available)" in capsys.readouterr().err


def test_ctrl_c_in_a_command_says_so(monkeypatch, capsys):
    from relaxit.testing import api

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "run", interrupted)
    assert run(["check", "binary"]) == 130
    assert capsys.readouterr().err.strip() == "error: stopped"
