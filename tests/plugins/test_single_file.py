"""``--plugin FILE`` and ``load_file``: one Python file as a plugin, with nothing installed."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import sys
from pathlib import Path

import pytest
import typer

import relaxit
from relaxit import PluginError, UnknownName
from relaxit.cli import plugin_option
from relaxit.cli.app import app, run
from relaxit.hooks import OWN_DISTRIBUTION
from relaxit.plugins import registry
from relaxit.plugins.registry import load_file, unload_file
from relaxit.training.runs.directory import RunDirectory

SOURCE = '''
import math

import torch

import relaxit
from relaxit import Capabilities, PerturbAndRelax, constraints, hookimpl


class Pick(PerturbAndRelax):
    """One of three."""

    api, name, summary = 1, "mine", "one of three"
    capabilities = Capabilities(density=False, discrete_distribution=False, exact_rounding=True)
    event_shape = param_shape = torch.Size([3])
    support, vertices = constraints.simplex, constraints.one_hot

    def relax(self, scores, temperature):
        return torch.softmax(scores / temperature, -1)

    def argmax(self, scores):
        return torch.eye(3, dtype=scores.dtype, device=scores.device)[scores.argmax(-1)]

    def kl_to_uniform(self, params):
        log_p = params.log_softmax(-1)
        return (log_p.exp() * (log_p + math.log(3))).sum(-1)
'''
HOOK = """

@hookimpl
def relaxit_relaxations():
    return [Pick]
"""
DECORATED = SOURCE.replace("class Pick", "@relaxit.register\nclass Pick")
SMALL = ["--epochs", "1", "--batch-size", "300", "--device", "cpu", "--latents", "2"]
EACH_COMMAND = pytest.mark.parametrize(
    "words", [["train", "--dry-run"], ["evaluate", "run"], ["sample", "run"], ["check", "mine"],
              ["show", "mine"], ["list"], ["plugins"]], ids=lambda words: words[0]
)  # fmt: skip


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Each test in an empty folder; no file, module or setting outlives it."""
    for key in [key for key in os.environ if key.startswith("RELAXIT_")]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.chdir(tmp_path)
    plugins, modules = list(registry.default_registry().plugins), set(sys.modules)
    yield
    for plugin in registry.default_registry().plugins:
        if plugin.sha256:
            unload_file(plugin.target)
    assert registry.default_registry().plugins == plugins
    for name in set(sys.modules) - modules:
        if name.startswith("relaxit_file_"):
            del sys.modules[name]


def write(source=SOURCE + HOOK, name="mine.py"):
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(source)
    return str(path)


@pytest.fixture(scope="module")
def trained_in(tmp_path_factory):
    """A folder with mine.py, and with the run that was trained by it."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "mine.py").write_text(SOURCE + HOOK)
    flags = ["--plugin", str(folder / "mine.py"), "--relaxation", "mine", "--quiet"]
    assert run(["train", *SMALL, *flags, "--out", str(folder / "run")]) == 0
    return folder


@pytest.fixture
def trained(trained_in, tmp_path):
    """The same, with a run of one's own to change."""
    write()
    (tmp_path / "run").mkdir()
    for path in (trained_in / "run").iterdir():
        if path.is_file():
            (tmp_path / "run" / path.name).write_bytes(path.read_bytes())
    return tmp_path


def refused(capsys, *arguments, code=5):
    """What is said on the only line of a command that is refused."""
    assert run([*arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1, err
    return err


# --- what works -------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [SOURCE + HOOK, DECORATED, DECORATED + HOOK])
@pytest.mark.parametrize("name", ["mine", "file.py:mine"])
def test_a_file_trains(tmp_path, source, name, capsys):
    flags = ["--plugin", write(source, "file.py"), "--relaxation", name, "--out", "run", "--json"]
    assert run(["train", *SMALL, *flags]) == 0
    assert json.loads(capsys.readouterr().out)["test_elbo_discrete"] < 0
    saved = json.loads((tmp_path / "run" / "config.json").read_text())
    assert saved["config"]["relaxation"]["name"] == name
    assert saved["plugins"][-1] == {
        "name": "file",
        "distribution": "file.py",
        "version": "",
        "state": "ok",
        "provides": {"relaxation": ["mine"]},
        "file": "file.py",
        "sha256": hashlib.sha256(source.encode()).hexdigest(),
    }
    assert not any("sha256" in plugin for plugin in saved["plugins"][:-1])
    assert [p.name for p in Path().iterdir() if p.name != "run"] == ["file.py"]  # no bytecode


def test_the_minimal_plugin_of_the_contract_is_such_a_file():
    page = (Path(__file__).parents[2] / "docs" / "contract.md").read_text()
    source = page.partition("```python\n")[2].partition("```")[0]
    flags = ["--plugin", write(source, "bins.py"), "--relaxation", "bins", "--quiet"]
    assert run(["train", *SMALL, *flags, "--out", "run"]) == 0


def test_every_command_that_looks_up_names_takes_files():
    commands = typer.main.get_command(app).commands
    having = {
        name
        for name, command in commands.items()
        if any("--plugin" in param.opts for param in command.params)
    }
    assert having == {
        "train", "evaluate", "sample", "check", "show", "list", "plugins", "reproduce",
    }  # fmt: skip
    for name in having:
        (option,) = (p for p in commands[name].params if "--plugin" in p.opts)
        assert option.multiple
        assert not option.envvar


@EACH_COMMAND
def test_a_command_runs_the_files_before_anything_else(words, capsys):
    text = refused(capsys, *words, "--plugin", write(), "--plugin", write("1 / 0", "bad.py"))
    assert text.startswith("error: plugin file bad.py: import failed: ZeroDivisionError")


def test_listings(capsys):
    flags = ["--plugin", write("print('hello')\n" + SOURCE + HOOK), "--json"]
    assert run(["list", *flags]) == 0
    (found,) = (r for r in json.loads(capsys.readouterr().out)["relaxation"] if r["name"] == "mine")
    assert found == {"name": "mine", "summary": "one of three", "distribution": "mine.py"}
    assert run(["show", "mine", *flags]) == 0
    assert json.loads(capsys.readouterr().out)["shapes"]["params"] == "[*batch, 3]"
    assert run(["plugins", *flags]) == 0
    found = json.loads(capsys.readouterr().out)[-1]
    assert (found["name"], found["distribution"], found["state"]) == ("mine", "mine.py", "ok")
    assert found["target"] == str(Path("mine.py").resolve())
    assert found["sha256"] == hashlib.sha256(Path("mine.py").read_bytes()).hexdigest()
    assert found["remarks"] == ["printed 6 characters to stdout on import"]
    assert run(["plugins", "--plugin", "mine.py"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "mine mine.py ok mine; printed 6 characters to stdout on import" in out


def test_doctor_tells_remarks(capsys):
    load_file(write("print('hello')\n" + SOURCE + HOOK))
    assert run(["doctor"]) == 0
    line = "plugin mine (mine.py): ok; printed 6 characters to stdout on import"
    assert line in capsys.readouterr().out.splitlines()


def test_several_files_of_several_kinds(capsys):
    estimator = """
    import relaxit
    from relaxit.estimators.pathwise import Pathwise

    @relaxit.register
    class Half(Pathwise):
        api, name = 1, "half"
    """
    dataset = """
    from relaxit import hookimpl
    from relaxit.data.digits import Digits

    class Numbers(Digits):
        api, name = 1, "numbers"

    @hookimpl
    def relaxit_datasets():
        return [Numbers]
    """
    files = [
        write(),
        write("if True:\n" + estimator, "b/my-estimator.py"),
        write("if True:\n" + dataset, "2.py"),
    ]
    flags = [word for file in files for word in ("--plugin", file)]
    flags += ["--relaxation", "mine", "--estimator", "half", "--dataset", "2.py:numbers"]
    assert run(["train", *SMALL, *flags, "--out", "run", "--quiet"]) == 0
    assert "'half'" in refused(capsys, "evaluate", "run", *flags[:2])
    assert run(["evaluate", "run", *flags[:6], "--json"]) == 0


def test_help_and_completion_run_no_file(capsys):
    path = write("open('was-run', 'w')")
    assert run(["list", "--plugin", path, "--help"]) == 0
    context = typer.main.get_command(app).make_context("relaxit", ["list"])
    context.resilient_parsing = True
    plugin_option._load(context, [Path(path)])
    assert not Path("was-run").exists()
    assert run(["list", "--plugin", path]) == 5
    assert Path("was-run").exists()


# --- one command, one state of the file -------------------------------------------------------


def test_it_lasts_for_one_command(capsys):
    assert run(["show", "mine", "--plugin", write()]) == 0
    assert "mine" not in relaxit.relaxations()
    capsys.readouterr()
    assert "unknown" in refused(capsys, "show", "mine", code=2)
    # A line that is refused after the file was loaded does not keep it either.
    for _ in range(2):
        assert run(["train", "--plugin", "mine.py", "--epochs", "many"]) == 2
    capsys.readouterr()
    assert "unknown" in refused(capsys, "show", "mine", code=2)
    assert run(["show", "mine", "--plugin", "mine.py"]) == 0


def test_the_same_file_again_is_as_it_is_now(capsys):
    stamp = None
    for word in ("three", "seven"):  # of one length and one time, so that no cache could tell
        write((SOURCE + HOOK).replace("one of three", f"one of {word}"))
        stamp = stamp or Path("mine.py").stat()
        os.utime("mine.py", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        assert run(["show", "mine", "--plugin", "mine.py", "--plugin", "./mine.py", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["summary"] == f"one of {word}"


def test_load_file_in_python(tmp_path):
    first = load_file(write())
    assert first.provides == {"relaxation": ["mine"]}
    old = type(relaxit.get("mine"))
    second = load_file(tmp_path / "mine.py")
    assert type(relaxit.get("mine")) is not old
    assert [p for p in registry.default_registry().plugins if p.sha256] == [second]
    write("1 / 0")
    with pytest.raises(PluginError):
        load_file("mine.py")
    kept = relaxit.get("mine")  # what was loaded stays as it was
    assert pickle.loads(pickle.dumps(kept)) == kept
    unload_file("mine.py")
    unload_file("mine.py")
    with pytest.raises(UnknownName):
        relaxit.get("mine")


def test_another_file_of_that_name(capsys):
    write()
    other = write(SOURCE.replace('"mine"', '"other"') + HOOK, "b/mine.py")
    said = refused(capsys, "list", "--plugin", "mine.py", "--plugin", other)
    assert "the name mine.py is taken by" in said
    assert run(["list", "--plugin", other]) == 0
    assert run(["list", "--plugin", "mine.py"]) == 0


def test_its_module(tmp_path):
    path = list(sys.path)
    for name in ("json.py", "my file-2.py"):
        write(SOURCE + HOOK, name)
        load_file(name)
        found = relaxit.relaxations()["mine"]
        module = sys.modules[found.__module__]
        assert module.Pick is found
        assert found.__module__.isidentifier()
        assert Path(module.__file__) == tmp_path / name
        assert pickle.loads(pickle.dumps(found())) == found()
        unload_file(name)
    assert sys.modules["json"] is json
    assert sys.path == path


# --- what is wrong with a file ----------------------------------------------------------------

WRONG_HOOK = HOOK.replace("relaxit_relaxations", "relaxit_relaxation")
BAD = {
    "import": ("import no_such_module", "import failed: ModuleNotFoundError"),
    "syntax": ("def (", "import failed: SyntaxError"),
    "encoding": (b"x = '\xff'", "import failed: SyntaxError"),
    "null": (b"\0", "import failed: "),
    "exit": ("raise SystemExit(0)", "import failed: SystemExit"),
    "empty": ("", "provides nothing: mark a hook with @relaxit.hookimpl"),
    "unmarked": (SOURCE, "provides nothing"),
    "no mark": (SOURCE + HOOK.replace("@hookimpl", ""), "relaxit_relaxations is not marked"),
    "misspelt": (SOURCE + WRONG_HOOK, "unknown hook 'relaxit_relaxation'"),
    "misspelt beside": (DECORATED + WRONG_HOOK, "unknown hook 'relaxit_relaxation'"),
    "api": (SOURCE.replace("1, ", "2, ") + HOOK, "was written for api 2, this relaxit has api 1"),
    "decorated api": (DECORATED.replace("1, ", "2, "), "was written for api 2"),
    "raises": (SOURCE + HOOK.replace("[Pick]", "1 / 0"), "relaxit_relaxations raised ZeroDiv"),
    "no class": ("import relaxit\nrelaxit.register(3)", "3 is not a relaxation class"),
    "odd name": (DECORATED.replace('"mine"', "[]"), "name must be lower-case"),
    "twice": (DECORATED + "\nrelaxit.register(type('B', (Pick,), {'api': 1}))", "is defined twice"),
}


@pytest.mark.parametrize(("source", "said"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("words", [["list"], ["train", "--dry-run"]], ids=lambda words: words[0])
def test_a_bad_file_ends_the_command(source, said, words, capsys):
    Path("bad.py").write_bytes(source if isinstance(source, bytes) else source.encode())
    text = refused(capsys, *words, "--plugin", "bad.py")
    assert text.startswith("error: plugin file bad.py: ")
    assert said in text
    assert not [name for name in sys.modules if name.startswith("relaxit_file_bad")]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("absent.py", "does not exist"),
        ("nowhere/absent.py", "does not exist"),
        ("text.txt", "does not end in .py"),
        ("folder", "does not end in .py"),
        ("folder.py", "cannot be read"),
    ],
)
def test_a_path_that_is_no_plugin_file(path, said, capsys):
    write("", "text.txt")
    for name in ("folder", "folder.py"):
        Path(name).mkdir()
    text = refused(capsys, "plugins", "--plugin", path)
    assert text.startswith(f"error: plugin file {path} ")
    assert said in text


def test_debug_shows_the_line_of_the_file(monkeypatch, capsys):
    monkeypatch.setenv("RELAXIT_DEBUG", "1")
    assert run(["list", "--plugin", write("x = 0\n1 / x  # here")]) == 5
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "1 / x  # here" in err


def test_ctrl_c_is_not_a_problem_of_the_file(capsys):
    assert run(["list", "--plugin", write("raise KeyboardInterrupt")]) == 130


def test_a_module_beside_the_file(tmp_path, monkeypatch, capsys):
    write("size = 3", "b/helper.py")
    path = write("import helper\n" + SOURCE + HOOK, "b/mine.py")
    assert f"set PYTHONPATH={tmp_path / 'b'}" in refused(capsys, "list", "--plugin", path)
    monkeypatch.syspath_prepend(str(tmp_path / "b"))
    assert run(["list", "--plugin", path]) == 0
    del sys.modules["helper"]


def test_paths_are_those_of_the_working_directory():
    write("three", "summary.txt")
    source = SOURCE.replace('"one of three"', "open('summary.txt').read()") + HOOK
    assert load_file(write(source, "b/mine.py")).state == "ok"
    assert relaxit.get("mine").summary == "three"


def test_recipes_and_commands_are_remarked_on():
    source = DECORATED + (
        "\nimport pathlib, typer\n"
        "@hookimpl\ndef relaxit_recipes():\n    return [pathlib.Path('a.toml')]\n"
        "@hookimpl\ndef relaxit_commands():\n    return [typer.Typer(name='greet')]\n"
    )
    plugin = load_file(write(source))
    assert plugin.provides == {"relaxation": ["mine"]}
    assert plugin.state == "ok"
    assert sorted(remark.split()[0] for remark in plugin.remarks) == ["commands", "recipes"]


# --- a name that another plugin has -----------------------------------------------------------


def test_a_taken_name(capsys):
    path = write(SOURCE.replace('"mine"', '"binary"') + HOOK)
    flags = ["train", *SMALL, "--plugin", path, "--quiet", "--out"]
    text = refused(capsys, *flags, "a", "--relaxation", "binary")
    assert f"write {OWN_DISTRIBUTION}:binary or mine.py:binary" in text
    assert not Path("a").exists()
    for spelling in (f"{OWN_DISTRIBUTION}:binary", "mine.py:binary"):
        out = f"run-{spelling.partition(':')[0]}"
        assert run([*flags, out, "--relaxation", spelling]) == 0
        assert run(["evaluate", out, "--plugin", path, "--json"]) == 0
    capsys.readouterr()
    assert "add --plugin PATH/mine.py" in refused(capsys, "evaluate", "run-mine.py")
    assert run(["list", "--plugin", path]) == 0
    assert "mine.py:binary" in capsys.readouterr().out
    assert "mine.py:binary" in refused(capsys, "--strict-plugins", "list", "--plugin", path)
    assert run(["train", *SMALL, "--relaxation", "binary", "--dry-run"]) == 0  # untouched


def test_a_name_of_the_session():
    path = write()
    relaxit.register(_class_of(path))
    try:
        load_file(path)
        with pytest.raises(PluginError, match=r"session:mine or mine\.py:mine"):
            relaxit.get("mine")
    finally:
        relaxit.unregister(registry.default_registry().find("relaxation", "session:mine"))


def _class_of(path):
    load_file(path)
    found = relaxit.relaxations()["mine"]
    unload_file(path)
    return found


# --- the runs of a file -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [["evaluate", "run"], ["sample", "run"], ["train", "--resume", "run"]]
)
def test_a_run_asks_for_its_file(trained, words, capsys):
    text = refused(capsys, *words)
    assert "run needs relaxation 'mine', which came from the file mine.py" in text
    assert "add --plugin PATH/mine.py" in text
    assert run([*words, "--plugin", "mine.py"]) == 0
    assert "warning" not in capsys.readouterr().err


def test_nothing_is_imported_because_a_run_says_so(trained):
    (trained / "run" / "mine.py").write_text("open('was-run', 'w')")
    write("open('was-run', 'w')")
    saved = json.loads((trained / "run" / "config.json").read_text())
    saved["plugins"][-1]["file"] = saved["plugins"][-1]["target"] = str(trained / "mine.py")
    (trained / "run" / "config.json").write_text(json.dumps(saved))
    assert run(["evaluate", "run"]) == 5
    assert not Path("was-run").exists()


@pytest.mark.parametrize(
    "words", [["evaluate", "run", "--json"], ["sample", "run"], ["train", "--resume", "run"]]
)
def test_a_file_that_has_changed_is_warned_of(trained, words, capsys):
    was = hashlib.sha256(Path("mine.py").read_bytes()).hexdigest()[:12]
    write(SOURCE + HOOK + "# changed\n")
    now = hashlib.sha256(Path("mine.py").read_bytes()).hexdigest()[:12]
    assert run([*words, "--plugin", "mine.py"]) == 0
    out, err = capsys.readouterr()
    (warning,) = (line for line in err.splitlines() if line.startswith("warning: "))
    assert warning.endswith(
        f"run was trained with relaxation 'mine' from mine.py (sha256 {was}), "
        f"which now comes from mine.py (sha256 {now})"
    )
    assert not out or json.loads(out)


def test_a_file_that_became_something_else_is_warned_of(trained):
    packaged = relaxit.register(_class_of("mine.py"))
    try:
        (change,) = RunDirectory(Path("run")).plugin_changes()
    finally:
        relaxit.unregister(packaged)
    assert change.endswith("which now comes from session")


def test_resume_takes_files_and_nothing_new_besides(trained, monkeypatch, capsys):
    monkeypatch.setenv("RELAXIT_PLUGIN", "mine.py")  # is no setting
    assert "add --plugin" in refused(capsys, "train", "--resume", "run")
    words = ["train", "--resume", "run", "--plugin", "mine.py", "--epochs", "2"]
    assert "--lr" in refused(capsys, *words, "--lr", "0.1", code=2)
    assert run([*words, "--quiet"]) == 0
    assert [row["epoch"] for row in RunDirectory(trained / "run").read_metrics()] == [1, 2]


@pytest.mark.parametrize("plugins", [3, [3], {}, None])
def test_a_damaged_record_is_said_to_be_so(trained, plugins, capsys):
    saved = json.loads((trained / "run" / "config.json").read_text())
    (trained / "run" / "config.json").write_text(json.dumps({**saved, "plugins": plugins}))
    assert "damaged" in refused(capsys, "evaluate", "run", code=4)
